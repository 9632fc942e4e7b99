//! The authorization server, in its own process so that its memory is not measured. It accepts any
//! refresh token once, answers after 100 ms, and counts requests.

use std::collections::HashSet;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::person_grants;

/// The delay of a response.
const RESPONSE_DELAY: Duration = Duration::from_millis(100);

#[derive(Default)]
struct EndpointLog {
    arrivals: Vec<Instant>,
    in_flight: usize,
    most_in_flight: usize,
    tokens: HashSet<String>,
    twice: usize,
}

/// Prints its base URL, and serves until its standard input is closed.
pub(crate) fn run() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let base = format!("http://127.0.0.1:{port}");
        println!("{base}");
        let seen = Arc::<Mutex<EndpointLog>>::default();
        loop {
            let (connection, _) = listener.accept().await.expect("a connection");
            tokio::spawn(serve(connection, base.clone(), Arc::clone(&seen)));
        }
    });
}

/// Serves one connection, until the client closes it.
async fn serve(
    connection: TcpStream,
    base: String,
    seen: Arc<Mutex<EndpointLog>>,
) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut connection = BufReader::new(connection);
    loop {
        let mut first = String::new();
        if connection.read_line(&mut first).await? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            connection.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut form = vec![0; length];
        connection.read_exact(&mut form).await?;
        let path = first.split(' ').nth(1).unwrap_or_default();
        let body = match path {
            "/token" => refresh(&seen, &form).await,
            "/counters" => counters(&seen),
            _ => json!({
                "issuer": base,
                "authorization_endpoint": format!("{base}/authorize"),
                "token_endpoint": format!("{base}/token"),
                "response_types_supported": ["code"],
            }),
        };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all((head + &body).as_bytes()).await?;
    }
}

async fn refresh(seen: &Mutex<EndpointLog>, form: &[u8]) -> Value {
    let mut fields = url::form_urlencoded::parse(form);
    let token = fields.find_map(|(name, value)| (name == "refresh_token").then_some(value));
    let token = token.expect("a refresh token").into_owned();
    let number = {
        let mut seen = seen.lock().expect("no panic");
        seen.arrivals.push(Instant::now());
        seen.in_flight += 1;
        seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
        let is_first_use = seen.tokens.insert(token);
        seen.twice += usize::from(!is_first_use);
        seen.arrivals.len()
    };
    tokio::time::sleep(RESPONSE_DELAY).await;
    seen.lock().expect("no panic").in_flight -= 1;
    json!({
        "access_token": person_grants::token("new-at", number),
        "refresh_token": person_grants::token("new-rt", number),
        "token_type": "Bearer",
        "expires_in": person_grants::ACCESS_TOKEN_SECONDS,
    })
}

fn counters(seen: &Mutex<EndpointLog>) -> Value {
    let seen = seen.lock().expect("no panic");
    // The maximum within any second.
    let within = |first: usize| {
        let second = seen.arrivals[first] + Duration::from_secs(1);
        seen.arrivals.partition_point(|&at| at < second) - first
    };
    let most = (0..seen.arrivals.len()).map(within).max();
    json!({
        "requests": seen.arrivals.len(),
        "twice": seen.twice,
        "most_in_flight": seen.most_in_flight,
        "most_per_second": most.unwrap_or(0),
    })
}
