//! Certificates, made by openssl(1).

use crate::{Scratch, run};
use anyhow::Result;
use std::process::Command;
use std::time::Duration;

/// Somebody who signs certificates, and whose files are in a scratch directory.
#[derive(Debug)]
pub struct Authority<'a> {
    scratch: &'a Scratch,
    name: &'a str,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Pair {
    /// The file with the certificate.
    pub cert: String,
    /// The file with the key.
    pub key: String,
}

/// What a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A server at 127.0.0.1, also called `node-7`.
    Server,
    /// A client.
    Client,
    /// A client, as long as this second lasts.
    MomentaryClient,
}

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

impl<'a> Authority<'a> {
    /// A new authority of this name, and its certificate.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn new(scratch: &'a Scratch, name: &'a str) -> Result<Self> {
        let authority = Self { scratch, name };
        let own = authority.own();
        let subject = format!("/CN={name}");
        let mut arguments = vec!["req", "-x509", "-days", "30", "-subj", &subject];
        arguments.extend(KEY);
        arguments.extend(["-keyout", &own.key, "-out", &own.cert]);
        arguments.extend(["-addext", "keyUsage=critical,keyCertSign"]);
        openssl(&arguments)?;
        Ok(authority)
    }

    /// Its own.
    pub fn own(&self) -> Pair {
        self.files(self.name)
    }

    /// Signs a new certificate.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn issue(&self, name: &str, purpose: Purpose) -> Result<Pair> {
        let (pair, own) = (self.files(name), self.own());
        let (extensions, days) = match purpose {
            Purpose::Server => {
                ("subjectAltName=IP:127.0.0.1,DNS:node-7\nextendedKeyUsage=serverAuth\n", "30")
            }
            Purpose::Client => ("extendedKeyUsage=clientAuth\n", "30"),
            Purpose::MomentaryClient => ("extendedKeyUsage=clientAuth\n", "0"),
        };
        let request = self.scratch.text(&format!("{name}.csr"));
        let extensions = self.scratch.write(&format!("{name}.ext"), extensions)?;
        let subject = format!("/CN={name}");
        let mut arguments = vec!["req", "-new", "-subj", &subject];
        arguments.extend(KEY);
        arguments.extend(["-keyout", &pair.key, "-out", &request]);
        openssl(&arguments)?;
        let extensions = extensions.to_string_lossy();
        let signing = ["x509", "-req", "-days", days, "-in", &request, "-out", &pair.cert];
        openssl(&[&signing[..], &["-CA", &own.cert, "-CAkey", &own.key, "-extfile", &extensions]].concat())?;
        Ok(pair)
    }

    fn files(&self, name: &str) -> Pair {
        let file = |kind| self.scratch.text(&format!("{name}.{kind}"));
        Pair { cert: file("pem"), key: file("key") }
    }
}

fn openssl(arguments: &[&str]) -> Result<()> {
    run(Command::new("openssl").args(arguments), Duration::from_secs(60))?.expect_code(0)?;
    Ok(())
}
