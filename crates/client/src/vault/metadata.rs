//! The instance metadata service, which gives a machine the tokens of its managed identity.
//!
//! The one thing here that is asked in plain HTTP, since Azure's has no TLS: by address only, of this machine or of the
//! link, so that nothing in between and no name service has a part in it.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::Uri;
use http::header::{ACCEPT, HOST, HeaderValue, USER_AGENT};
use http_body_util::Full;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::credential::form_value;
use crate::http::{AGENT, Answer, Connection, HttpError, JSON};
use crate::limits::{ANSWER_BYTES_MAX, CONNECT_TIME_MAX, REQUEST_TIME_MAX};

/// Where the metadata service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataService(SocketAddr);

impl MetadataService {
    /// Accepts `http://address[:port]` of loopback or of the link (169.254.0.0/16).
    pub fn parse(text: &str) -> Result<MetadataService, HttpError> {
        let refused = || HttpError::Url(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let authority = uri.authority().ok_or_else(refused)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let address: IpAddr = host.parse().map_err(|_| refused())?;
        let near = match address {
            IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
            IpAddr::V6(address) => address.is_loopback(),
        };
        let bare = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none();
        let user = authority.as_str().contains('@') || text.contains('#');
        match near && bare && !user {
            true => Ok(MetadataService(SocketAddr::new(address, authority.port_u16().unwrap_or(80)))),
            false => Err(refused()),
        }
    }

    /// The answer to a request for a token of the machine's only identity (recorded: api-version 2018-02-01).
    pub(super) async fn ask(&self, resource: &str) -> Result<Answer, HttpError> {
        let authority = self.0.to_string();
        let target =
            format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={}", form_value(resource));
        let mut request = http::Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = target.parse().map_err(|_| HttpError::Url(target.clone()))?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(&authority).map_err(|_| HttpError::Url(authority.clone()))?);
        headers.insert("metadata", HeaderValue::from_static("true"));
        headers.insert(USER_AGENT, AGENT);
        headers.insert(ACCEPT, JSON);
        let late = |limit: std::time::Duration| HttpError::Time { authority: authority.clone(), secs: limit.as_secs() };
        let connected = timeout(CONNECT_TIME_MAX, TcpStream::connect(self.0)).await;
        let connected = connected.map_err(|_| late(CONNECT_TIME_MAX))?;
        let refused = |error: std::io::Error| HttpError::Connect { authority: authority.clone(), kind: error.kind() };
        let stream = connected.map_err(refused)?;
        let exchange = async {
            let mut connection = Connection::open(stream, &authority).await?;
            connection.ask(&authority, request, ANSWER_BYTES_MAX).await
        };
        timeout(REQUEST_TIME_MAX, exchange).await.map_err(|_| late(REQUEST_TIME_MAX))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain HTTP goes nowhere but to this machine or its link, and to no name.
    #[test]
    fn only_near_addresses_are_asked() {
        for (good, address) in [
            ("http://169.254.169.254", "169.254.169.254:80"),
            ("http://127.0.0.1:8446/", "127.0.0.1:8446"),
            ("http://[::1]:1", "[::1]:1"),
        ] {
            assert_eq!(MetadataService::parse(good).map(|service| service.0.to_string()), Ok(address.to_owned()));
        }
        for bad in [
            "",
            "169.254.169.254",
            "https://169.254.169.254",
            "http://localhost:8446",
            "http://192.0.2.1",
            "http://u@127.0.0.1",
            "http://127.0.0.1/x",
            "http://127.0.0.1/?x",
            "http://127.0.0.1/#x",
        ] {
            assert_eq!(MetadataService::parse(bad), Err(HttpError::Url(bad.to_owned())), "{bad}");
        }
    }
}
