//! Who may talk to the API: anybody on this machine, or whoever has the token.
//!
//! Without a token only loopback is listened on, and a request must name the machine itself, so that no web page can
//! reach the API through a name of its own that leads here.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Api, Problem};

/// The secret that opens the API. Never shown.
#[derive(Clone)]
pub struct Token(String);

/// The environment variable that a token is taken from where no file is named.
pub const TOKEN_VARIABLE: &str = "TIDEMILL_TOKEN";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token file {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The text is none.
    #[error("the token in {origin} is empty or has other characters than visible ASCII")]
    Unfit {
        /// The file or variable.
        origin: String,
    },
}

impl Token {
    /// From the file, else from the environment, else none.
    ///
    /// # Errors
    /// Where the file cannot be read, or what is found is no token.
    pub fn find(file: Option<&Path>) -> Result<Option<Token>, TokenError> {
        let (text, origin) = match file {
            Some(path) => {
                let read = std::fs::read_to_string(path);
                (
                    read.map_err(|source| TokenError::Read { path: path.to_owned(), source })?,
                    path.display().to_string(),
                )
            }
            None => match std::env::var(TOKEN_VARIABLE) {
                Ok(text) => (text, TOKEN_VARIABLE.to_owned()),
                Err(_) => return Ok(None),
            },
        };
        Token::parse(&text).map(Some).ok_or(TokenError::Unfit { origin })
    }

    /// A token of visible ASCII; white space around it is dropped.
    pub fn parse(text: &str) -> Option<Token> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()))
            .then(|| Token(text.to_owned()))
    }

    /// `Bearer` and the token.
    pub fn bearer(&self) -> HeaderValue {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", self.0)).expect("a token is visible ASCII");
        value.set_sensitive(true);
        value
    }

    /// Takes the same time however much of it is right.
    fn is(&self, given: &[u8]) -> bool {
        let token = self.0.as_bytes();
        let differing = token.iter().zip(given).fold(0, |differing, (a, b)| differing | (a ^ b));
        token.len() == given.len() && differing == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Why nothing is listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Anybody could use it.
    #[error(
        "listening on {listen} can be reached from other machines and needs a token: give --token-file or \
         {TOKEN_VARIABLE}, or listen on 127.0.0.1"
    )]
    Exposed {
        /// Where.
        listen: SocketAddr,
    },
    /// Something listens there already.
    #[error("the port {} of {} is in use: stop what listens there, or choose another one with --listen", .listen.port(), .listen.ip())]
    InUse {
        /// Where.
        listen: SocketAddr,
    },
    /// The system refuses.
    #[error("cannot listen on {listen}")]
    Refused {
        /// Where.
        listen: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// Listens, but never beyond this machine without a token. A port of 0 is a free one.
///
/// # Errors
/// See [`ListenError`].
pub fn listen(listen: SocketAddr, token: Option<&Token>) -> Result<TcpListener, ListenError> {
    if token.is_none() && !listen.ip().is_loopback() {
        return Err(ListenError::Exposed { listen });
    }
    let bound = TcpListener::bind(listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { listen },
        _ => ListenError::Refused { listen, source },
    })
}

/// Lets a request pass, or answers 401 or 421.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let refused = match &api.token {
        Some(token) => refuse_without_token(token, &request),
        None => refuse_foreign_host(&request),
    };
    match refused {
        Some(response) => response,
        None => next.run(request).await,
    }
}

fn refuse_without_token(token: &Token, request: &Request) -> Option<Response> {
    let given = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let given = given.and_then(|given| given.split_at_checked(7));
    if given
        .is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case(b"bearer ") && token.is(given))
    {
        return None;
    }
    let detail = "this host wants its token: `Authorization: Bearer TOKEN`, or --token-file on the command line";
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "no access without the token",
        detail,
    );
    let mut response = problem.into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Some(response)
}

fn refuse_foreign_host(request: &Request) -> Option<Response> {
    let host = request.headers().get(header::HOST)?.to_str().unwrap_or_default();
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name).trim_start_matches('[').trim_end_matches(']');
    let local = name.eq_ignore_ascii_case("localhost")
        || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let detail = format!(
        "this host answers to localhost and 127.0.0.1, not to {host}; with a token it answers to any"
    );
    let problem = || {
        Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected",
            "another host was meant",
            detail,
        )
    };
    (!local).then(|| problem().into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_whole() {
        let token = Token::parse(" geheim\n").unwrap();
        assert!(token.is(b"geheim"));
        for wrong in ["", "g", "geheim ", "geheimer", "Geheim"] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
        assert!(
            Token::parse(" ").is_none()
                && Token::parse("ä").is_none()
                && Token::parse("a b").is_none()
        );
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn nothing_listens_beyond_this_machine_without_a_token() {
        let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
        assert!(matches!(listen(any, None), Err(ListenError::Exposed { .. })));
        assert!(listen(any, Token::parse("t").as_ref()).is_ok());
        let first = listen("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let address = first.local_addr().unwrap();
        let error = listen(address, None).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("the port {} of 127.0.0.1 is in use", address.port())),
            "{error}"
        );
    }
}
