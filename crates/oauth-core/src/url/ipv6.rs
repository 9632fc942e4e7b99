//! The canonical text of an IPv6 address (RFC 5952 section 4), produced from its text: Rust's standard library would
//! parse and format it, and web pages would load the code for both.

use std::iter;

/// Whether this is the canonical spelling of an address, in either case. One that contains an IPv4 address
/// (`::ffff:192.0.2.1`) is not: it is another name of that address.
pub(super) fn is_canonical(text: &str) -> bool {
    let (before, after) = match text.split_once("::") {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    };
    let after = after.map(groups);
    let (length, zeros) = count_and_longest_zeros(groups(before));
    let Some(after) = after else {
        return length == 8 && zeros < 2 && groups(before).all(is_group);
    };
    let (length_after, zeros_after) = count_and_longest_zeros(after.clone());
    let hidden = 8usize.saturating_sub(length + length_after);
    // `::` replaces the longest run of zeros, the first of several equally long ones, and all of it.
    let is_longest = hidden >= 2 && zeros < hidden && zeros_after <= hidden;
    let has_no_outer_zero = groups(before).last() != Some("0") && after.clone().next() != Some("0");
    let is_mapped = hidden == 5
        && length == 0
        && after
            .clone()
            .next()
            .is_some_and(|first| first.eq_ignore_ascii_case("ffff"));
    is_longest && has_no_outer_zero && !is_mapped && groups(before).chain(after).all(is_group)
}

/// The groups of one side of the address; none if it is empty.
fn groups(side: &str) -> impl Iterator<Item = &str> + Clone {
    let mut rest = (!side.is_empty()).then_some(side);
    iter::from_fn(move || {
        let side = rest?;
        let end = side.bytes().position(|byte| byte == b':');
        rest = end.and_then(|end| side.get(end + 1..));
        side.get(..end.unwrap_or(side.len()))
    })
}

/// The number of groups, and the length of the longest run of zeros.
fn count_and_longest_zeros<'a>(groups: impl Iterator<Item = &'a str>) -> (usize, usize) {
    let (mut length, mut zeros, mut longest) = (0, 0, 0);
    for group in groups {
        length += 1;
        zeros = if group == "0" { zeros + 1 } else { 0 };
        longest = longest.max(zeros);
    }
    (length, longest)
}

fn is_group(group: &str) -> bool {
    let has_place = (1..=4).contains(&group.len()) && (group == "0" || !group.starts_with('0'));
    has_place && group.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    /// Whether the standard library formats the address as it was written.
    fn is_canonical_by_std(text: &str) -> bool {
        text.parse::<Ipv6Addr>().is_ok_and(|v6| {
            v6.to_ipv4_mapped().is_none() && v6.to_string() == text.to_ascii_lowercase()
        })
    }

    fn address() -> impl Strategy<Value = Ipv6Addr> {
        let group = prop_oneof![
            4 => Just(0_u16),
            1 => Just(0xffff),
            1 => 0..=0x1f_u16,
            1 => any::<u16>()
        ];
        proptest::array::uniform8(group).prop_map(Ipv6Addr::from)
    }

    proptest! {
        #[test]
        fn every_formatted_address_is_canonical_unless_ipv4_mapped(address in address()) {
            let is_mapped = address.to_ipv4_mapped().is_some();
            prop_assert_eq!(is_canonical(&address.to_string()), !is_mapped);
            prop_assert_eq!(is_canonical(&address.to_string().to_uppercase()), !is_mapped);
        }

        #[test]
        fn canonical_check_matches_the_standard_library(text in "(::)?((0|00|1|ffff|1a2B|12345|1\\.2|g|)(::?|)){0,9}") {
            prop_assert_eq!(is_canonical(&text), is_canonical_by_std(&text), "{}", text);
        }
    }

    #[test]
    fn first_of_two_equally_long_zero_runs_must_be_compressed() {
        for (text, is_it) in [
            ("1::2:0:0:3:4", true),
            ("1:0:0:2::3:4", false),
            ("1:0:0:2::3", true),
            ("1::2:0:0:0:3", false),
        ] {
            assert_eq!(
                (is_canonical(text), is_canonical_by_std(text)),
                (is_it, is_it),
                "{text}"
            );
        }
    }
}
