//! What is asked of an API server: lists of the pods of a node, and owners by their metadata.

use crate::Error;
use crate::object::{AnyObject, OwnerReference, PodList, PodObject};
use crate::read::{JSON, METADATA, ask, parse};
use crate::status::Figures;
use crate::store::Wanted;
use kube_client::Client;

const PAGE: usize = 500;

/// Whether a list may come in pages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Paging {
    Pages,
    Whole,
}

/// All pods of a node, and the version that a watch goes on from.
pub(crate) async fn list(
    client: &Client,
    node: &str,
    figures: &Figures,
) -> Result<(Vec<PodObject>, Box<str>), Error> {
    Figures::count(&figures.lists);
    match list_with(client, node, figures, Paging::Pages).await {
        // The list was changed away under the pages.
        Err(Error::Expired) => list_with(client, node, figures, Paging::Whole).await,
        listed => listed,
    }
}

async fn list_with(
    client: &Client,
    node: &str,
    figures: &Figures,
    paging: Paging,
) -> Result<(Vec<PodObject>, Box<str>), Error> {
    const WHAT: &str = "listing the pods of the node";
    let selector = of_node(node);
    // Any version will do, so that the server need not ask its store.
    let first = format!("/api/v1/pods?{selector}&resourceVersion=0");
    let mut path = match paging {
        Paging::Pages => format!("{first}&limit={PAGE}"),
        Paging::Whole => first,
    };
    let mut pods = Vec::new();
    loop {
        let answer = ask(client, WHAT, &path, JSON).await?;
        let page: PodList = parse(WHAT, answer, figures).await?;
        // What a server sends that does not select must not be held.
        pods.extend(page.items.into_iter().filter(|pod| *pod.spec.node_name == *node));
        if page.metadata.next.is_empty() {
            if page.metadata.resource_version.is_empty() {
                return Err(Error::BadAnswer { what: WHAT, reason: "the list has no version".into() });
            }
            return Ok((pods, page.metadata.resource_version));
        }
        let next = encode(&page.metadata.next);
        path = format!("/api/v1/pods?{selector}&limit={PAGE}&continue={next}");
    }
}

/// What manages an owner: `None` if nothing does, if it is gone, or if it may not be asked for.
pub(crate) async fn manager(
    client: &Client,
    wanted: &Wanted,
    figures: &Figures,
) -> Result<Option<OwnerReference>, Error> {
    const WHAT: &str = "asking for the owner of a pod";
    Figures::count(&figures.owners);
    let (namespace, owner) = (encode(&wanted.namespace), &wanted.owner);
    let resource = if &*owner.kind == "Job" { "jobs" } else { "replicasets" };
    let (version, name) = (&owner.api_version, encode(&owner.name));
    let path = format!("/apis/{version}/namespaces/{namespace}/{resource}/{name}");
    match ask(client, WHAT, &path, METADATA).await {
        Ok(answer) => {
            let object: AnyObject = parse(WHAT, answer, figures).await?;
            // One of the same name that was made later is another's.
            let same = object.metadata.uid == owner.uid;
            Ok(object.metadata.controller().filter(|_| same).cloned())
        }
        Err(Error::Refused { status: 404, .. }) => Ok(None),
        Err(error @ Error::Refused { status: 403, .. }) => {
            tracing::warn!(
                %error,
                "workloads of pods are shown as {resource}, and rules on what is above these do not match"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The query that selects the pods of a node.
pub(crate) fn of_node(node: &str) -> String {
    format!("fieldSelector=spec.nodeName%3D{}", encode(node))
}

/// As a part of a path or a query: RFC 3986, with nothing but unreserved characters left.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(encode("node-1.example_x~"), "node-1.example_x~");
        assert_eq!(encode("../a?b=c&d e%"), "..%2Fa%3Fb%3Dc%26d%20e%25");
        assert_eq!(of_node("a,b"), "fieldSelector=spec.nodeName%3Da%2Cb");
    }
}
