//! Which debuginfod servers are asked, by the configuration and the environment.

use crate::failure::{Failure, Status};
use telegen_config::Loaded;
use telegen_debuginfod::{Options, check_url};

/// Where people say which servers there are: URLs with blanks between, and `ima:` words, which are for clients that check
/// signatures.
const VARIABLE: &str = "DEBUGINFOD_URLS";

/// Who is asked, if anybody is.
pub(super) fn options(loaded: &Loaded) -> Result<Option<Options>, Failure> {
    let config = &loaded.config.symbols.debuginfod;
    for (index, url) in config.urls.iter().enumerate() {
        check_url(url).map_err(|error| {
            let place = loaded.sources.error_at("symbols.debuginfod.urls", Some(index), error.to_string());
            Failure::message(Status::Usage, place.to_string())
        })?;
    }
    let urls = match config.urls.as_slice() {
        [] => from_environment(&std::env::var(VARIABLE).unwrap_or_default())?,
        urls => urls.to_vec(),
    };
    if urls.is_empty() {
        return Ok(None);
    }
    Ok(Some(Options {
        urls,
        max_file_bytes: config.max_size_bytes,
        timeout: config.timeout,
        directory: config.cache.directory.clone(),
        max_cache_bytes: config.cache.max_size_bytes,
    }))
}

fn from_environment(value: &str) -> Result<Vec<String>, Failure> {
    let urls = value.split_whitespace().filter(|word| !word.starts_with("ima:"));
    let check = |url: &str| match check_url(url) {
        Ok(()) => Ok(url.to_owned()),
        Err(error) => Err(Failure::message(Status::Usage, format!("${VARIABLE}: {error}"))),
    };
    urls.map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_the_environment_are_asked_if_none_are_configured() {
        let urls = from_environment(" https://a.example/  ima:enforcing http://b:8002 ima:ignore").unwrap();
        assert_eq!(urls, ["https://a.example/", "http://b:8002"]);
        assert!(from_environment("").unwrap().is_empty());
        assert!(from_environment("b:8002").is_err());
    }

    #[test]
    fn what_is_configured_comes_first_and_what_is_no_server_is_refused_with_its_line() {
        let text = "profiler:\n  symbols: {debuginfod: {urls: [http://a], timeout: 5s}}\n";
        let loaded = telegen_config::parse("x.yaml", text.as_bytes()).unwrap();
        let options = options(&loaded).unwrap().expect("a server");
        assert_eq!((options.urls, options.timeout.as_secs()), (vec!["http://a".to_owned()], 5));
        let text = "profiler:\n  symbols:\n    debuginfod:\n      urls: [http://a, b]\n";
        let loaded = telegen_config::parse("x.yaml", text.as_bytes()).unwrap();
        let refused = super::options(&loaded).unwrap_err().to_string();
        assert!(refused.contains("x.yaml:4") && refused.contains("http://"), "{refused}");
    }
}
