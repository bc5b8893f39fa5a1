//! `rapids up`, from its first line to its end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::{Up, rapids, run};

#[test]
fn it_says_where_everything_is_and_ends_when_told() {
    let mut up = Up::start(&["--embedded-services", "rapids-reader"]);
    let aws = up.line();
    let endpoint = aws.strip_prefix("aws").unwrap().trim().to_owned();
    let reader = up.line();
    let exports = up.line();
    assert!(exports.starts_with(&format!("export AWS_ENDPOINT_URL={endpoint} ")), "{exports}");
    for variable in ["AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="] {
        assert!(exports.contains(variable), "{exports}");
    }
    assert_eq!(up.line(), "ready");

    let metrics = reader.strip_prefix("rapids-reader").unwrap().trim();
    let admin = metrics.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap();
    assert!(get(admin, "/readyz").ends_with("ready\n"), "{}", get(admin, "/readyz"));
    assert!(get(admin, "/metrics").contains("rapids_build_info"));

    let port = endpoint.rsplit(':').next().unwrap();
    let (_, error, code) = run(rapids().args(["up", "--port", port, "--admin-port", "0"]));
    assert_eq!(code, 1);
    assert!(error.starts_with(&format!("error: port {port} ")), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");

    let (rest, status) = up.terminate();
    assert_eq!((rest.as_str(), status.code()), ("", Some(0)));
    assert!(TcpStream::connect(endpoint.strip_prefix("http://").unwrap()).is_err());
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
