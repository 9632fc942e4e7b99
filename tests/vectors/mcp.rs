//! Group `mcp`: how a client of the Model Context Protocol selects the server, its client id and the scope.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use oauth_core::client_auth::Credentials;
use oauth_core::flow::keeper::{Decision, Event, GrantId, Step as KeeperStep};
use oauth_core::flow::resource::Resource;
use oauth_core::flow::resource_connection::{
    BoundClient, ClientCandidates, ClientChoice, ConnectRequest, Connection, Extension,
    GrantChoice, ScopeSource, StepUpBudget,
};
use oauth_core::grant::TokenRequest;
use oauth_core::issuer::Issuer;
use oauth_core::protected_resource_metadata::ResourceIdentifier;
use oauth_core::server::Server;
use oauth_core::url::Url;
use oauth_core::{
    Client, ClientAuth, ClientId, ClientMetadata, Error, Exchange, Input, Scope, Step, Tokens,
    connect_resource,
};
use serde_json::{Value, json};

use crate::client_auth::signing_client;
use crate::expect::outcome;
use crate::format::{Vector, Verdict, check, check_equal, texts};
use crate::identity_access;
use crate::metadata;
use crate::token::moment;

const DOCUMENT: &str = "https://client.example.com/client.json";

pub(crate) fn rule(vector: &Vector) -> Verdict {
    let input = &vector.input;
    let has = |name: &str| input.get(name).is_some();
    if let Some(url) = vector.text("server_url") {
        let read = ResourceIdentifier::for_server(url);
        return match outcome(&vector.expected, read)? {
            Some(id) => check_equal(
                "resource",
                Some(id.as_str()),
                vector.expected["resource"].as_str(),
            ),
            None => Ok(()),
        };
    }
    match vector.text("flow") {
        Some(_) if has("client_secret") => by_secret(vector),
        Some(_) if has("method") => by_key(vector),
        Some(_) if has("have") => no_usable_identity(vector),
        Some(_) => repeats_authorization(vector),
        None if has("registered_with") => moved(vector),
        None if has("have") => order(vector),
        None if has("old_issuer") => bound(vector),
        None if has("responses") => step_ups(vector),
        None if has("token_for") => token_passthrough(vector),
        None if has("extensions") => extensions(vector),
        None if has("challenge_scope") => scope(vector),
        None if has("enterprise_idp") => no_browser(vector),
        None if has("redirect_uris") => application_type(vector),
        None if has("resource_metadata") => identity_access::requests_resource(vector),
        None if has("client_id_metadata_document") => identity_access::redeemed_by_document(vector),
        None => Err("no check handles this vector".into()),
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

fn issuer(name: &str) -> Result<Issuer, String> {
    Issuer::parse(name).map_err(text)
}

/// A server whose metadata contains these members.
fn server(members: &Value) -> Result<Server, String> {
    let mut all = json!({ "token_endpoint": "https://as.example/token" });
    if let (Some(all), Some(members)) = (all.as_object_mut(), members.as_object()) {
        all.extend(members.clone());
    }
    metadata::document(all).map_err(text)
}

/// The client identities that are available, by the names of the vectors.
fn identities(have: &[String], at: &str) -> Result<ClientCandidates, String> {
    let mut identities = ClientCandidates::default();
    for name in have {
        match name.as_str() {
            "preregistered" => {
                let id = ClientId::new("by-hand");
                identities.preregistered =
                    ClientCandidates::preregistered(issuer(at)?, id).preregistered;
            }
            "cimd" => identities.metadata_document = Some(ClientId::new(DOCUMENT)),
            // A program that registers itself has no identity yet.
            "dcr" => {}
            other => return Err(format!("no way {other}")),
        }
    }
    Ok(identities)
}

const fn name(choice: &ClientChoice) -> &'static str {
    match choice {
        ClientChoice::Registered(_) => "preregistered",
        ClientChoice::MetadataDocument(_) => "cimd",
        ClientChoice::Register(_) => "dcr",
        _ => "ask",
    }
}

fn order(vector: &Vector) -> Verdict {
    let server = server(&vector.input["metadata"])?;
    let identities = identities(&texts(&vector.input["have"]), "https://as.example")?;
    let chosen = identities.choose(GrantChoice::AuthorizationCode, &server);
    let Some(chosen) = outcome(&vector.expected, chosen)? else {
        return Ok(());
    };
    let expected_value = vector.expected["use"].as_str().unwrap_or_default();
    let is_wanted = expected_value == name(&chosen)
        || (expected_value.starts_with("ask") && name(&chosen) == "ask");
    check(
        &format!("{} is used, want {expected_value}", name(&chosen)),
        is_wanted,
    )
}

fn no_usable_identity(vector: &Vector) -> Verdict {
    let server = server(&vector.input["metadata"])?;
    let identities = identities(&texts(&vector.input["have"]), "https://as.example")?;
    // The caller decides what would be registered: nothing here.
    let chosen = identities.choose(GrantChoice::ClientCredentials, &server);
    outcome(&vector.expected, chosen).map(drop)
}

/// Connects to an API that names this server, whose metadata matches, and counts the requests to it.
fn connected(
    request: ConnectRequest,
    named: &str,
    members: &Value,
) -> Result<(u64, Result<Connection, Error>), String> {
    let mut exchange = connect_resource(request);
    let (mut requests, mut input) = (0, Input::Begin);
    loop {
        let request = match exchange.resume(&moment(0), input) {
            Ok(Step::Send(request)) => request,
            Ok(Step::Done(connection)) => return Ok((requests, Ok(connection))),
            Ok(step) => return Err(format!("an odd step: {step:?}")),
            Err(error) => return Ok((requests, Err(error))),
        };
        let document = if request.uri().host() == Some("mcp.example") {
            json!({ "resource": "https://mcp.example/mcp", "authorization_servers": [named] })
        } else {
            requests += 1;
            let mut document = json!({
                "issuer": named,
                "token_endpoint": format!("{named}/token"),
                "code_challenge_methods_supported": ["S256"],
            });
            if let (Some(all), Some(more)) = (document.as_object_mut(), members.as_object()) {
                all.extend(more.clone());
            }
            document
        };
        let reply = Response::builder().header("content-type", "application/json");
        let reply = reply.body(Bytes::from(document.to_string()));
        input = Input::Reply(reply.map_err(|error| error.to_string())?);
    }
}

fn request() -> Result<ConnectRequest, String> {
    ConnectRequest::new("https://mcp.example/mcp").map_err(text)
}

fn moved(vector: &Vector) -> Verdict {
    let identities = identities(
        &texts(&vector.input["have"]),
        vector.required_text("registered_with")?,
    )?;
    let request = request()?.clients(identities);
    let named = vector.required_text("resource_names")?;
    let (requests, met) = connected(request, named, &Value::Null)?;
    check_equal(
        "requests",
        Some(requests),
        vector.expected["requests"].as_u64(),
    )?;
    outcome(&vector.expected, met).map(drop)
}

/// A client bound to an old server that encounters a new one.
fn bound(vector: &Vector) -> Verdict {
    let (old, new) = (
        vector.required_text("old_issuer")?,
        vector.required_text("new_issuer")?,
    );
    let mut identities = ClientCandidates::default();
    let takes_documents = json!({ "client_id_metadata_document_supported": true });
    if let Some(id) = vector.text("client_id") {
        identities.metadata_document = Some(ClientId::new(id));
        let chosen = |named| {
            let met = connected(
                request()?.clients(identities.clone()),
                named,
                &takes_documents,
            )?;
            met.1.map(|connection| connection.client).map_err(text)
        };
        let expected_choice = ClientChoice::MetadataDocument(ClientId::new(id));
        let is_reused = chosen(old)? == expected_choice && chosen(new)? == expected_choice;
        check_equal(
            "client_id_reused",
            Some(is_reused),
            vector.expected["client_id_reused"].as_bool(),
        )?;
        let reused = owns(old, new, id)?;
        return check_equal(
            "tokens_reused",
            Some(reused),
            vector.expected["tokens_reused"].as_bool(),
        );
    }
    let bound_client = BoundClient {
        issuer: issuer(old)?,
        client_id: ClientId::new("old"),
    };
    identities.registered.push(bound_client.clone());
    let (_, met) = connected(request()?.clients(identities), new, &Value::Null)?;
    let chosen = met.map_err(text)?.client;
    let is_reused = matches!(chosen, ClientChoice::Registered(client) if client == bound_client);
    let want = vector.expected["old_credentials_reused"].as_bool();
    check_equal("old_credentials_reused", Some(is_reused), want)
}

/// Whether tokens from one server are accepted as those of the client with the same id at another.
fn owns(old: &str, new: &str, id: &str) -> Result<bool, String> {
    let stored = json!({
        "version": 1, "issuer": old, "client_id": id, "access_token": "a", "received_at": 0,
        "expires_in": null, "scope": "", "refresh_token": "r", "refresh_scope": null, "id_token": null,
    });
    let tokens = Tokens::from_json(&stored.to_string()).map_err(text)?;
    let client = |named| {
        Client::new(
            Server::new(issuer(named)?),
            ClientId::new(id),
            ClientAuth::none(),
        )
        .map_err(text)
    };
    client(old)?.check_owner(&tokens).map_err(text)?;
    Ok(client(new)?.check_owner(&tokens).is_ok())
}

fn step_ups(vector: &Vector) -> Verdict {
    let refusals = vector.input["responses"].as_array().map_or(0, Vec::len);
    let mut budget = StepUpBudget::new(Scope::none());
    let mut authorizations = 0;
    for number in 0..refusals {
        // Each requires a scope that was not requested yet: otherwise one would be enough.
        let step_up_scope = Scope::parse(&format!("s{number}")).map_err(text)?;
        match budget.next(Some(&step_up_scope)) {
            Ok(_) => authorizations += 1,
            Err(error) => {
                check_equal("code", error.code(), "step_up.limit")?;
                check_equal("then", vector.expected["then"].as_str(), Some("error"))?;
                break;
            }
        }
    }
    check_equal(
        "authorizations",
        Some(authorizations),
        vector.expected["authorizations_max"].as_u64(),
    )
}

fn token_passthrough(vector: &Vector) -> Verdict {
    let resource = ResourceIdentifier::parse(vector.required_text("token_for")?).map_err(text)?;
    let url = Url::parse(vector.required_text("request_to")?).map_err(text)?;
    let attached = Resource::beneath(&resource).check(&url).is_ok();
    check_equal(
        "token_attached",
        Some(attached),
        vector.expected["token_attached"].as_bool(),
    )?;
    let own_origin = Resource::beneath(&resource).check(resource.url());
    check("its own resource receives it", own_origin.is_ok())
}

fn extensions(vector: &Vector) -> Verdict {
    let mut keys = Vec::new();
    for name in texts(&vector.input["extensions"]) {
        let extension = match name.as_str() {
            "client_credentials" => Extension::ClientCredentials,
            "enterprise_managed" => Extension::EnterpriseManaged,
            other => return Err(format!("no extension {other}").into()),
        };
        keys.push(extension.capability().to_owned());
    }
    check_equal(
        "capability_keys",
        keys,
        texts(&vector.expected["capability_keys"]),
    )
}

fn scope(vector: &Vector) -> Verdict {
    let list = |name: &str| {
        let names = texts(&vector.input[name]);
        Scope::from_names(names.iter().map(String::as_str)).map_err(text)
    };
    let (granted, supported) = (list("granted")?, list("scopes_supported")?);
    let challenged = Scope::parse(vector.required_text("challenge_scope")?).map_err(text)?;
    let source = ScopeSource {
        granted: &granted,
        challenged: Some(&challenged),
        supported: Some(&supported),
    };
    let chosen = source.scope().unwrap_or_default();
    let chosen: Vec<_> = chosen.iter().map(str::to_owned).collect();
    check_equal("scope", chosen, texts(&vector.expected["scope"]))
}

fn no_browser(vector: &Vector) -> Verdict {
    let way = GrantChoice::IdentityAssertion;
    let candidates =
        ClientCandidates::preregistered(issuer("https://auth.chat.example")?, ClientId::new("id"));
    let request = request()?.grant(way).clients(candidates);
    let members = &vector.input["metadata"];
    let (requests, met) = connected(request, "https://auth.chat.example", members)?;
    let connection = met.map_err(text)?;
    let used = (connection.grant == way).then_some("id-jag");
    check_equal("use", used, vector.expected["use"].as_str())?;
    // The only request was for the metadata.
    let want = vector.expected["authorization_requests_at_resource_server"].as_u64();
    check_equal("authorization requests", Some(requests - 1), want)
}

/// The form of a client's own token request (`client_credentials`).
fn sent(client: &Client, vector: &Vector) -> Result<Vec<(String, String)>, String> {
    let scope = Scope::parse(vector.required_text("scope")?).map_err(text)?;
    let token_request = TokenRequest::from(scope).resource(vector.required_text("resource")?);
    first(client.client_credentials(token_request.map_err(text)?)).map(|request| form(&request))
}

fn first<E: Exchange>(mut exchange: E) -> Result<Request<Bytes>, String> {
    match exchange.resume(&moment(0), Input::Begin).map_err(text)? {
        Step::Send(request) => Ok(request),
        _ => Err("nothing is sent".to_owned()),
    }
}

fn form(request: &Request<Bytes>) -> Vec<(String, String)> {
    serde_urlencoded::from_bytes(request.body()).unwrap_or_default()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pair = |pair: &Value| match texts(pair).as_slice() {
        [name, value] => Some((name.clone(), value.clone())),
        _ => None,
    };
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(pair)
        .collect()
}

fn by_secret(vector: &Vector) -> Verdict {
    let server = server(&vector.input["metadata"])?;
    let secret = Credentials::secret(vector.required_text("client_secret")?);
    let auth = ClientAuth::negotiate(secret, &server).map_err(text)?;
    let id = ClientId::new(vector.required_text("client_id")?);
    let client = Client::new(server, id, auth).map_err(text)?;
    let (mut got, mut want) = (sent(&client, vector)?, pairs(&vector.expected["params"]));
    got.sort();
    want.sort();
    check_equal("params", got, want)
}

fn by_key(vector: &Vector) -> Verdict {
    let client = signing_client(
        vector.required_text("issuer")?,
        vector.required_text("token_endpoint")?,
    )?;
    let got = sent(&client, vector)?;
    for pair in pairs(&vector.expected["params_have"]) {
        check(&format!("{pair:?} is sent"), got.contains(&pair))?;
    }
    let assertion = got.iter().find(|(name, _)| name == "client_assertion");
    let payload = assertion.and_then(|(_, jwt)| jwt.split('.').nth(1));
    let payload = payload.and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Value = serde_json::from_slice(&payload.ok_or("no assertion")?)
        .map_err(|error| error.to_string())?;
    check_equal("aud", &claims["aud"], &vector.expected["assertion_aud"])
}

/// The keeper of a `client_credentials` grant whose token has expired requests a new one.
fn repeats_authorization(vector: &Vector) -> Verdict {
    let want = vector.expected["request"].as_str();
    check_equal("request", want, Some("client_credentials again"))?;
    let server = server(&Value::Null)?;
    let client = Client::new(server, ClientId::new("id"), ClientAuth::post("secret"));
    let mut keeper = client.map_err(text)?.keeper(GrantId::client());
    for now in [0, 100] {
        let at = moment(now);
        check(
            "it renews",
            matches!(keeper.ask(at.now(), None), Decision::Renew),
        )?;
        let KeeperStep::Run(mut exchange) = keeper.resume(&at, Event::Begin) else {
            return Err("nothing is sent".into());
        };
        let Ok(Step::Send(request)) = exchange.resume(&at, Input::Begin) else {
            return Err("nothing is sent".into());
        };
        let grant = ("grant_type".to_owned(), "client_credentials".to_owned());
        check(
            "the grant is requested again",
            form(&request).contains(&grant),
        )?;
        let body = json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 10 });
        let reply = Response::builder().header("content-type", "application/json");
        let reply = reply.body(Bytes::from(body.to_string()));
        let reply = Input::Reply(reply.map_err(|error| error.to_string())?);
        let Ok(Step::Done(tokens)) = exchange.resume(&at, reply) else {
            return Err("no tokens".into());
        };
        check("there is no refresh token", tokens.refresh_token.is_none())?;
        let done = keeper.resume(&at, Event::Completed(Ok(tokens)));
        check("it has the tokens", matches!(done, KeeperStep::Done(Ok(_))))?;
    }
    Ok(())
}

/// The `application_type` that a native program registers, by its redirect URIs.
fn application_type(vector: &Vector) -> Verdict {
    let uris = texts(&vector.input["redirect_uris"]);
    let metadata = json!({ "redirect_uris": uris, "client_name": "tool" }).to_string();
    let metadata = ClientMetadata::from_json(&metadata).map_err(|error| error.to_string())?;
    let written: Value =
        serde_json::from_str(metadata.to_json().expose()).map_err(|error| error.to_string())?;
    let name = "application_type";
    check_equal(name, &written[name], &vector.expected[name])
}
