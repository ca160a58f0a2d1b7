//! What is asked of an API server: lists of the pods of a node, and owners by their metadata.

use crate::Error;
use crate::list::{Kept, PodList};
use crate::object::AnyObject;
use crate::owners::{Answer, Wanted};
use crate::read::{JSON, METADATA, ask, parse};
use crate::status::Figures;
use kube_client::Client;
use std::marker::PhantomData;

const PAGE: usize = 500;

/// Whether a list may come in pages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Paging {
    Pages,
    Whole,
}

/// All pods of a node, and the version that a watch goes on from.
pub(crate) async fn list(client: &Client, kept: &Kept, figures: &Figures) -> Result<PodList, Error> {
    Figures::count(&figures.lists);
    match list_with(client, kept, figures, Paging::Pages).await {
        // The list was changed away under the pages.
        Err(Error::Expired) => list_with(client, kept, figures, Paging::Whole).await,
        listed => listed,
    }
}

async fn list_with(
    client: &Client,
    kept: &Kept,
    figures: &Figures,
    paging: Paging,
) -> Result<PodList, Error> {
    const WHAT: &str = "listing the pods of the node";
    let selector = of_node(kept.node());
    // Any version will do, so that the server need not ask its store.
    let first = format!("/api/v1/pods?{selector}&resourceVersion=0");
    let mut path = match paging {
        Paging::Pages => format!("{first}&limit={PAGE}"),
        Paging::Whole => first,
    };
    let mut list = PodList::default();
    loop {
        let answer = ask(client, WHAT, &path, JSON).await?;
        let page = parse(WHAT, answer, kept.clone(), figures).await?;
        list.add(page);
        if list.metadata.next.is_empty() {
            if list.metadata.resource_version.is_empty() {
                return Err(Error::BadAnswer { what: WHAT, reason: "the list has no version".into() });
            }
            return Ok(list);
        }
        let next = encode(&list.metadata.next);
        path = format!("/api/v1/pods?{selector}&limit={PAGE}&continue={next}");
    }
}

/// What manages an owner.
pub(crate) async fn manager(client: &Client, wanted: &Wanted, figures: &Figures) -> Result<Answer, Error> {
    const WHAT: &str = "asking for the owner of a pod";
    Figures::count(&figures.owners);
    let (namespace, owner, resource) = (encode(&wanted.namespace), &wanted.owner, wanted.resource());
    let (version, name) = (&owner.api_version, encode(&owner.name));
    let path = format!("/apis/{version}/namespaces/{namespace}/{resource}/{name}");
    match ask(client, WHAT, &path, METADATA).await {
        Ok(answer) => {
            let object: AnyObject = parse(WHAT, answer, PhantomData, figures).await?;
            // One of the same name that was made later is another's.
            let same = object.metadata.uid == owner.uid;
            let manager = object.metadata.controller().filter(|_| same).cloned();
            Ok(manager.map_or(Answer::Nobody, Answer::Manager))
        }
        Err(Error::Refused { status: 404, .. }) => Ok(Answer::Nobody),
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
