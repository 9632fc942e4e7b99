//! A user's browser, which keeps cookies and follows redirects.

use super::*;

impl Browser {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A request as this browser makes it.
    pub(crate) fn request(
        &mut self,
        world: &World,
        method: Method,
        target: &str,
        from: From,
    ) -> Request {
        let mut headers = HeaderMap::new();
        let is_navigation = true;
        let site = match from {
            From::Typed => "none",
            From::Own => "same-origin",
            From::Elsewhere => "cross-site",
        };
        put(&mut headers, "sec-fetch-site", site);
        if is_navigation {
            put(&mut headers, "sec-fetch-mode", "navigate");
            put(&mut headers, "sec-fetch-dest", "document");
            put(&mut headers, "accept", "text/html,*/*");
        }
        if method == Method::POST {
            let origin = match from {
                From::Elsewhere => TWIN,
                _ => SHOP,
            };
            put(&mut headers, "origin", origin);
        }
        let now = world.provider.now().as_secs();
        self.cookies.retain(|cookie| now < cookie.until);
        let is_foreign = from == From::Elsewhere;
        let is_post = method == Method::POST;
        let sent = self.cookies.iter().filter(|cookie| {
            matches!(
                (cookie.same_site.as_str(), is_foreign, is_post),
                ("None", _, _) | (_, false, _) | ("Lax", true, false)
            )
        });
        let pairs: Vec<_> = sent
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if !pairs.is_empty() {
            put(&mut headers, "cookie", &pairs.join("; "));
        }
        Request {
            method,
            host: "shop.example".to_owned(),
            target: target.to_owned(),
            headers,
            form: None,
        }
    }

    /// Sends a request and keeps the cookies of the answer.
    pub(crate) fn send(&mut self, world: &mut World, request: Request, access: Access) -> Ended {
        self.send_needing(world, request, access, None)
    }

    pub(crate) fn send_needing(
        &mut self,
        world: &mut World,
        request: Request,
        access: Access,
        need: Option<PageRequirements>,
    ) -> Ended {
        let ended = world.visit(request, access, need);
        if let Ended::Reply(reply) = &ended {
            assert_eq!(reply.headers["cache-control"], "no-store");
            // A form of the site must state its origin.
            let policy = if reply.body.contains("<form method=post action=\"/") {
                "same-origin"
            } else {
                "no-referrer"
            };
            assert_eq!(reply.headers["referrer-policy"], policy);
            self.store_cookies(world, reply);
        }
        ended
    }

    /// Ends the session, as a host does that finds its tokens unusable.
    pub(crate) fn end_session(&mut self, world: &mut World, request: Request) -> Reply {
        let visit = world.site.tokens_over(request);
        let reply = world.drive(visit).reply();
        self.store_cookies(world, &reply);
        reply
    }

    pub(crate) fn store_cookies(&mut self, world: &World, reply: &Reply) {
        if self.is_blocking {
            return;
        }
        let mut bytes = 0;
        for line in reply.headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            bytes += line.len();
            let mut parts = line.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let attributes: Vec<_> = parts.collect();
            let attribute_value = |name: &str| {
                let mut given = attributes.iter();
                given
                    .find_map(|given| given.strip_prefix(name))
                    .map(str::to_owned)
            };
            assert!(name.len() + value.len() < 4096, "{name}");
            if name.starts_with("__Host-Http-") {
                for attribute in ["Secure", "HttpOnly", "Path=/"] {
                    assert!(attributes.contains(&attribute), "{line}");
                }
            }
            let age: u64 = attribute_value("Max-Age=").unwrap().parse().unwrap();
            self.cookies.retain(|cookie| cookie.name != name);
            if age > 0 {
                self.cookies.push(Cookie {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    same_site: attribute_value("SameSite=").unwrap(),
                    until: world.provider.now().as_secs() + age,
                });
            }
        }
        assert!(bytes < 8192, "{bytes} bytes of cookies in one answer");
    }

    /// Opens a page whose address was typed, without following redirects.
    pub(crate) fn get(&mut self, world: &mut World, target: &str) -> Ended {
        let request = self.request(world, Method::GET, target, From::Typed);
        self.send(world, request, Access::SignedIn)
    }

    /// Follows a link of a page of the site.
    pub(crate) fn click(&mut self, world: &mut World, target: &str) -> Ended {
        let request = self.request(world, Method::GET, target, From::Own);
        self.send(world, request, Access::SignedIn)
    }

    /// A script of the site sends a request.
    pub(crate) fn fetch(&mut self, world: &mut World, method: Method, target: &str) -> Ended {
        let mut request = self.request(world, method, target, From::Own);
        put(&mut request.headers, "sec-fetch-mode", "cors");
        put(&mut request.headers, "sec-fetch-dest", "empty");
        put(&mut request.headers, "accept", "application/json");
        self.send(world, request, Access::SignedIn)
    }

    /// The URL to which the provider redirects the user.
    pub(crate) fn provider(world: &mut World, url: &str) -> String {
        let callback = world.provider.browse(url);
        let callback = callback.unwrap_or_else(|| panic!("the provider shows a page at {url}"));
        callback.strip_prefix(SHOP).unwrap().to_owned()
    }

    /// Opens a page and follows every redirect, of the site and of the provider.
    pub(crate) fn open(&mut self, world: &mut World, target: &str) -> Ended {
        let request = self.request(world, Method::GET, target, From::Typed);
        let ended = self.send(world, request, Access::SignedIn);
        self.follow(world, ended)
    }

    pub(crate) fn follow(&mut self, world: &mut World, ended: Ended) -> Ended {
        let (mut ended, mut from) = (ended, From::Typed);
        for _ in 0..20 {
            let Ended::Reply(reply) = &ended else {
                return ended;
            };
            if reply.status != StatusCode::SEE_OTHER {
                return ended;
            }
            let mut next = location(reply);
            if let Some(path) = next.strip_prefix(SHOP) {
                next = path.to_owned();
            } else if next.starts_with(TWIN) {
                next = Self::provider(world, &next);
                from = From::Elsewhere;
            }
            // A redirect chain that passed through another site counts as cross-site.
            let request = self.request(world, Method::GET, &next, from);
            ended = self.send(world, request, Access::SignedIn);
        }
        panic!("redirects without end");
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&Cookie> {
        self.cookies.iter().find(|cookie| cookie.name == name)
    }

    pub(crate) fn flows(&self) -> usize {
        let flows = self.cookies.iter();
        flows
            .filter(|cookie| cookie.name.contains("-flow-"))
            .count()
    }
}
