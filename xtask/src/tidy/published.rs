//! The requirements for every published crate: a readme, a changelog, an example,
//! and complete documentation.

use std::path::Path;

use serde_json::Value;

use super::packages;

/// Packages whose chapters, or whose `--help`, are their examples.
const WITHOUT_EXAMPLES: &[&str] = &["oauth-cli", "oauth-guide"];

/// The missing parts of published packages.
pub(super) fn published() -> Vec<String> {
    let packages = packages(&["--no-deps"]);
    // An empty list of registries is `publish = false`.
    let is_published = |package: &&Value| package["publish"].as_array().is_none();
    let published: Vec<_> = packages.iter().filter(is_published).collect();
    if published.is_empty() {
        return vec!["no package is published".to_owned()];
    }
    published.into_iter().flat_map(lacks).collect()
}

fn lacks(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let has_text = |member: &str| {
        package[member]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    };
    let listed = |member: &str| {
        package[member]
            .as_array()
            .is_some_and(|values| !values.is_empty())
    };
    let is_example = |target: &Value| target["kind"][0] == "example";
    let has_example = package["targets"]
        .as_array()
        .is_some_and(|values| values.iter().any(is_example));
    let docs = &package["metadata"]["docs"]["rs"];
    let checks = [
        ("a description", has_text("description")),
        ("a licence", has_text("license")),
        ("a repository", has_text("repository")),
        ("a rust-version", has_text("rust_version")),
        ("keywords", listed("keywords")),
        ("categories", listed("categories")),
        ("a README.md", folder.join("README.md").exists()),
        ("a CHANGELOG.md", folder.join("CHANGELOG.md").exists()),
        ("all features at docs.rs", docs["all-features"] == true),
        (
            "an example",
            has_example || WITHOUT_EXAMPLES.contains(&name),
        ),
    ];
    let lacking = checks.into_iter().filter(|(_, is_there)| !is_there);
    lacking
        .map(|(member, _)| format!("{name} lacks {member}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_package_lacks_every_required_field() {
        let bare = serde_json::json!({"name": "bare", "manifest_path": "/nowhere/Cargo.toml"});
        assert_eq!(lacks(&bare).len(), 10);
    }
}
