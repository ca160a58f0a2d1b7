//! Content negotiation: `Accept`, and the forms of objects that it can ask for.

use crate::object::Form;
use crate::status::Status;

/// The form that a client takes, of those that a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Full,
    /// `as=PartialObjectMetadata`
    Metadata,
    /// `as=PartialObjectMetadataList`
    MetadataList,
}

impl Wanted {
    /// Takes the first clause that can be served. Tables and other encodings are passed over, as servers do
    /// that do not have them.
    pub(crate) fn read(accept: Option<&str>) -> Result<Self, Status> {
        let accept = accept.map(str::trim).filter(|accept| !accept.is_empty()).unwrap_or("*/*");
        let mut clauses: Vec<(f32, Self)> = accept.split(',').filter_map(clause).collect();
        clauses.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        clauses.first().map(|(_, wanted)| *wanted).ok_or_else(|| {
            Status::not_acceptable("only the following media types are accepted: application/json")
        })
    }

    pub(crate) fn of_one(self) -> Result<Form, Status> {
        match self {
            Self::Full => Ok(Form::Full),
            Self::Metadata => Ok(Form::MetadataOnly),
            Self::MetadataList => Err(Status::not_acceptable(
                "you requested PartialObjectMetadataList, but the requested object is not a list",
            )),
        }
    }

    pub(crate) fn of_list(self) -> Result<Form, Status> {
        match self {
            Self::Full => Ok(Form::Full),
            Self::MetadataList => Ok(Form::MetadataOnly),
            Self::Metadata => Err(Status::not_acceptable(
                "you requested PartialObjectMetadata, but the requested object is a list",
            )),
        }
    }

    /// Each event has one object; what cannot be turned into the wanted form is sent as it is.
    pub(crate) fn of_events(self) -> Form {
        if self == Self::Metadata { Form::MetadataOnly } else { Form::Full }
    }
}

fn clause(text: &str) -> Option<(f32, Wanted)> {
    let mut parts = text.split(';').map(str::trim);
    if !matches!(parts.next()?, "application/json" | "application/*" | "*/*") {
        return None;
    }
    let mut quality = 1.0;
    let (mut form, mut group, mut version) = ("", "", "");
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name {
            "q" => quality = value.parse().unwrap_or(1.0),
            "as" => form = value,
            "g" => group = value,
            "v" => version = value,
            _ => {}
        }
    }
    let wanted = match (form, group, version) {
        ("", ..) => Wanted::Full,
        ("PartialObjectMetadata", "meta.k8s.io", "v1") => Wanted::Metadata,
        ("PartialObjectMetadataList", "meta.k8s.io", "v1") => Wanted::MetadataList,
        _ => return None,
    };
    Some((quality, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_clause_that_can_be_served_counts() {
        let metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        for (accept, wanted) in [
            (None, Some(Wanted::Full)),
            (Some("*/*"), Some(Wanted::Full)),
            (Some(metadata), Some(Wanted::Metadata)),
            (Some("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Some(Wanted::Full)),
            (
                Some(
                    "application/json;q=0.5, application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                ),
                Some(Wanted::MetadataList),
            ),
            (Some("text/html"), None),
            (Some("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v7"), None),
        ] {
            assert_eq!(Wanted::read(accept).ok(), wanted, "{accept:?}");
        }
    }
}
