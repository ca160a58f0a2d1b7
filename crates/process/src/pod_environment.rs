//! What a process says of its own pod, for where Kubernetes cannot be asked.
//!
//! Both are the process's own word: whoever may start processes in a container can have them say what they like. So they
//! are asked only where no other source is configured, and only of processes that are in a pod by their control group.

use crate::mapped_file::Found;
use crate::{Error, ProcFs};
use std::io::Read;
use std::path::Path;
use telegen_model::Pid;

/// Most bytes of an environment that are looked at.
const MAX_ENVIRON_BYTES: u64 = 128 << 10;
/// A namespace has at most 63.
const MAX_NAMESPACE_BYTES: u64 = 256;
/// Where a pod with a service account has its namespace: links of the volume that Kubernetes swaps.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Namespace and name of its pod, as a process has been told them. Nothing else of its environment is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PodEnvironment {
    /// `POD_NAMESPACE`, or what the mounted file of its service account says.
    pub namespace: Option<Box<str>>,
    /// `POD_NAME`.
    pub name: Option<Box<str>>,
}

impl PodEnvironment {
    /// Asks a process. What it may not be asked, or says in a form that cannot be, is not known.
    ///
    /// [`Error::Gone`] if the process is; all else that goes wrong leaves a fact out.
    pub fn read(proc: &ProcFs, pid: Pid) -> Result<Self, Error> {
        let environ = match proc.environ(pid, MAX_ENVIRON_BYTES) {
            Err(error @ Error::Gone { .. }) => return Err(error),
            read => read.unwrap_or_default(),
        };
        let mut found = parse(&environ);
        if found.namespace.is_none() {
            found.namespace = namespace_file(proc, pid).ok().as_deref().and_then(namespace);
        }
        Ok(found)
    }
}

/// Takes the two variables out of the text of `/proc/PID/environ`. What is cut at its end is not believed.
fn parse(environ: &[u8]) -> PodEnvironment {
    let is_cut = environ.len() as u64 >= MAX_ENVIRON_BYTES;
    let whole_until = environ.iter().rposition(|&byte| byte == 0).unwrap_or(0);
    let whole = if is_cut { &environ[..whole_until] } else { environ };
    let mut found = PodEnvironment::default();
    for variable in whole.split(|&byte| byte == 0) {
        // As getenv(3), the first of its name counts.
        if let Some(value) = variable.strip_prefix(b"POD_NAMESPACE=") {
            found.namespace = found.namespace.or_else(|| namespace(value));
        } else if let Some(value) = variable.strip_prefix(b"POD_NAME=") {
            found.name = found.name.or_else(|| name(value));
        }
    }
    found
}

/// Reads the mounted file: a regular one below the process's own root.
fn namespace_file(proc: &ProcFs, pid: Pid) -> Result<Vec<u8>, Error> {
    let file = Found::below_root(proc, pid, Path::new(NAMESPACE_FILE))?.open(pid)?.file;
    let mut bytes = Vec::new();
    let read = file.take(MAX_NAMESPACE_BYTES).read_to_end(&mut bytes);
    read.map_err(|source| Error::Io { path: NAMESPACE_FILE.into(), source })?;
    Ok(bytes)
}

/// The name of a namespace: a label of RFC 1123, and perhaps a line break.
fn namespace(value: &[u8]) -> Option<Box<str>> {
    const LONGEST: usize = 63;
    let text = std::str::from_utf8(value).ok()?.trim_ascii_end();
    (text.len() <= LONGEST && is_label(text)).then(|| text.into())
}

/// The name of a pod: labels with dots between.
fn name(value: &[u8]) -> Option<Box<str>> {
    const LONGEST: usize = 253;
    let text = std::str::from_utf8(value).ok()?;
    (text.len() <= LONGEST && text.split('.').all(is_label)).then(|| text.into())
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};

    fn said(environ: &[u8]) -> (Option<String>, Option<String>) {
        let PodEnvironment { namespace, name } = parse(environ);
        (namespace.map(Into::into), name.map(Into::into))
    }

    fn pair(namespace: &str, name: &str) -> (Option<String>, Option<String>) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (some(namespace), some(name))
    }

    #[test]
    fn two_variables_are_taken_and_nothing_else() {
        assert_eq!(said(b"PATH=/\0POD_NAME=web-1.x\0POD_NAMESPACE=prod\0"), pair("prod", "web-1.x"));
        assert_eq!(said(b"MY_POD_NAME=web\0POD_NAMES=x\0POD_NAME\0"), pair("", ""));
        assert_eq!(said(b"POD_NAME=a\0POD_NAME=b\0"), pair("", "a"));
        assert_eq!(said(b""), pair("", ""));
        assert_eq!(said(b"\0\0\0"), pair("", ""));
    }

    #[test]
    fn what_cannot_be_a_name_is_not_one() {
        for value in ["", "A", "a b", "-a", "a-", "a\n", "a..b", ".a", "\u{1b}[31m", "é"] {
            assert_eq!(said(format!("POD_NAME={value}\0").as_bytes()), pair("", ""), "{value:?}");
        }
        assert_eq!(said(b"POD_NAMESPACE=a.b\0POD_NAME=\xff\0"), pair("", ""));
        assert_eq!(said(format!("POD_NAMESPACE={}\0", "a".repeat(64)).as_bytes()), pair("", ""));
        assert_eq!(said(format!("POD_NAME={}\0", "a".repeat(254)).as_bytes()), pair("", ""));
    }

    #[test]
    fn a_variable_that_is_cut_is_not_taken() {
        let mut environ = vec![b'x'; MAX_ENVIRON_BYTES as usize - 20];
        environ.push(0);
        environ.extend(b"POD_NAMESPACE=product");
        environ.truncate(MAX_ENVIRON_BYTES as usize);
        assert_eq!(said(&environ), pair("", ""));
    }

    /// A directory that looks like /proc, with process 7 in it.
    struct Fixture(tempfile::TempDir);

    impl Fixture {
        fn new(environ: &[u8]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let secrets = directory.path().join("7/root/run/secrets/kubernetes.io/serviceaccount");
            fs::create_dir_all(&secrets).unwrap();
            fs::create_dir(directory.path().join("7/root/var")).unwrap();
            symlink("/run", directory.path().join("7/root/var/run")).unwrap();
            fs::write(directory.path().join("7/environ"), environ).unwrap();
            Self(directory)
        }

        fn secrets(&self) -> std::path::PathBuf {
            self.0.path().join("7/root/run/secrets/kubernetes.io/serviceaccount")
        }

        fn read(&self) -> (Option<String>, Option<String>) {
            let found = PodEnvironment::read(&ProcFs::new(self.0.path()), Pid(7)).unwrap();
            (found.namespace.map(Into::into), found.name.map(Into::into))
        }
    }

    #[test]
    fn the_mounted_file_is_asked_if_the_environment_says_nothing() {
        let fixture = Fixture::new(b"POD_NAME=web-1\0");
        assert_eq!(fixture.read(), pair("", "web-1"));
        // As Kubernetes mounts it: links within the volume.
        fs::create_dir(fixture.secrets().join("..2026")).unwrap();
        fs::write(fixture.secrets().join("..2026/namespace"), "prod").unwrap();
        symlink("..2026", fixture.secrets().join("..data")).unwrap();
        symlink("..data/namespace", fixture.secrets().join("namespace")).unwrap();
        assert_eq!(fixture.read(), pair("prod", "web-1"));
        let fixture_with_both = Fixture::new(b"POD_NAMESPACE=dev\0");
        fs::write(fixture_with_both.secrets().join("namespace"), "prod\n").unwrap();
        assert_eq!(fixture_with_both.read(), pair("dev", ""));
    }

    #[test]
    fn what_is_no_regular_file_below_the_root_is_not_read() {
        let fixture = Fixture::new(b"");
        let outside = fixture.0.path().join("namespace");
        fs::write(&outside, "host").unwrap();
        let file = fixture.secrets().join("namespace");
        symlink(&outside, &file).unwrap();
        assert_eq!(fixture.read(), pair("", ""), "a link out of the root");
        fs::remove_file(&file).unwrap();
        assert!(Command::new("mkfifo").arg(&file).stdin(Stdio::null()).status().unwrap().success());
        assert_eq!(fixture.read(), pair("", ""), "a pipe, which nobody waits for");
        fs::remove_file(&file).unwrap();
        fs::write(&file, "x".repeat(1 << 20)).unwrap();
        assert_eq!(fixture.read(), pair("", ""), "too long for a namespace");
    }

    #[test]
    fn a_process_that_is_not_there_is_gone() {
        let fixture = Fixture::new(b"");
        let gone = PodEnvironment::read(&ProcFs::new(fixture.0.path()), Pid(8));
        assert!(matches!(gone, Err(Error::Gone { .. })));
    }

    #[test]
    fn a_real_process_is_asked() {
        let mut child = Command::new("sleep")
            .arg("60")
            .env("POD_NAMESPACE", "prod")
            .env("POD_NAME", "web-1")
            .spawn()
            .unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let found = loop {
            let found = PodEnvironment::read(&ProcFs::default(), Pid(child.id())).unwrap();
            // The new environment is there a little after exec has let its parent go on.
            if found.name.is_some() || std::time::Instant::now() > deadline {
                break found;
            }
        };
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((found.namespace.as_deref(), found.name.as_deref()), (Some("prod"), Some("web-1")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(environ in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&environ);
        }
    }
}
