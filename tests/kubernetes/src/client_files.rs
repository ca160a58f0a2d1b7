//! Files that lead a client to a server: kubeconfigs and directories of service accounts.

use crate::Error;
use crate::api_server::ApiServer;
use crate::authority::Identity;
use crate::random;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// How a kubeconfig says who the client is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// The token in the file itself.
    Token(String),
    /// The token in a file of its own.
    TokenFile(PathBuf),
    /// A certificate and its key in the file itself, in base64.
    Certificate(Identity),
    /// Nothing: the client is anonymous.
    Nothing,
}

/// The text of a kubeconfig with one context, `test`, which is the current one.
pub fn kubeconfig(server: &ApiServer, namespace: &str, credentials: &Credentials) -> String {
    let user = match credentials {
        Credentials::Token(token) => format!("    token: {token}\n"),
        Credentials::TokenFile(path) => format!("    tokenFile: {}\n", path.display()),
        Credentials::Certificate(identity) => format!(
            "    client-certificate-data: {}\n    client-key-data: {}\n",
            STANDARD.encode(&identity.certificate_pem),
            STANDARD.encode(&identity.key_pem),
        ),
        Credentials::Nothing => "    username: \"\"\n".to_owned(),
    };
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: test\n  \
           cluster:\n    \
             certificate-authority-data: {}\n    \
             server: {}\n\
         contexts:\n\
         - name: test\n  \
           context:\n    \
             cluster: test\n    \
             namespace: {namespace}\n    \
             user: test\n\
         current-context: test\n\
         preferences: {{}}\n\
         users:\n\
         - name: test\n  \
           user:\n{user}",
        STANDARD.encode(server.access().authority().pem()),
        server.url(),
    )
}

/// Writes a kubeconfig.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_kubeconfig(
    path: &Path,
    server: &ApiServer,
    namespace: &str,
    credentials: &Credentials,
) -> Result<(), Error> {
    let text = kubeconfig(server, namespace, credentials);
    fs::write(path, text).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// The directory that a kubelet mounts into pods: `token`, `ca.crt` and `namespace`, which are links by
/// way of `..data` to a directory that is exchanged as a whole.
#[derive(Debug)]
pub struct ServiceAccount {
    directory: PathBuf,
    ca_pem: String,
    namespace: String,
}

impl ServiceAccount {
    /// Writes it into a directory, which is made if there is none.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write(directory: &Path, server: &ApiServer, namespace: &str, token: &str) -> Result<Self, Error> {
        let account = Self {
            directory: directory.to_owned(),
            ca_pem: server.access().authority().pem(),
            namespace: namespace.to_owned(),
        };
        account.rotate(token)?;
        for name in ["token", "ca.crt", "namespace"] {
            let link = directory.join(name);
            let target = Path::new("..data").join(name);
            symlink(target, &link).map_err(|source| Error::Write { path: link, source })?;
        }
        Ok(account)
    }

    /// Exchanges the token, at once, as a kubelet does.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn rotate(&self, token: &str) -> Result<(), Error> {
        let name = format!("..2026_01_01_00_00_00.{}", random::number());
        let version = self.directory.join(&name);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        fs::create_dir_all(&version).map_err(failed(&version))?;
        for (file, text) in [("token", token), ("ca.crt", &self.ca_pem), ("namespace", &self.namespace)] {
            let path = version.join(file);
            fs::write(&path, text).map_err(failed(&path))?;
        }
        let data = self.directory.join("..data");
        let earlier = fs::read_link(&data).ok();
        let next = self.directory.join("..data_tmp");
        symlink(&name, &next).map_err(failed(&next))?;
        fs::rename(&next, &data).map_err(failed(&data))?;
        if let Some(earlier) = earlier {
            let earlier = self.directory.join(earlier);
            fs::remove_dir_all(&earlier).map_err(failed(&earlier))?;
        }
        Ok(())
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}
