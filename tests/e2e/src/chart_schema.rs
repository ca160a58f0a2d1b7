//! The schema of the chart's values: that of the configuration made from what `telegen config reference` says, the rest by
//! hand.

use serde_json::{Map, Value, json};

/// One key of `telegen config reference`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReferenceKey {
    /// Its path below `profiler`, such as `cpu.sample_rate` or `targets[].name`.
    pub path: String,
    /// What a value is, in words.
    pub kind: String,
    /// What is said of it besides: a default, or that the build has not got it.
    pub remark: String,
    /// What it means.
    pub meaning: String,
}

impl ReferenceKey {
    /// Whether this build takes it.
    pub fn is_in_this_build(&self) -> bool {
        self.remark != "not in this build"
    }
}

/// Reads the reference: of each key the path, then indented what a value is, and what it means.
pub fn read_reference(text: &str) -> Vec<ReferenceKey> {
    let of = |block: &str| {
        let mut lines = block.lines();
        let path = lines.next()?.strip_prefix("profiler.")?.to_owned();
        let value = lines.next()?.trim();
        let (kind, remark) = value.split_once("; ").unwrap_or((value, ""));
        let meaning = lines.map(str::trim).collect::<Vec<_>>().join(" ");
        Some(ReferenceKey { path, kind: kind.to_owned(), remark: remark.to_owned(), meaning })
    };
    text.split("\n\n").filter_map(of).collect()
}

/// The schema of the whole: `rest` with that of the configuration in the place of its property `config`.
pub fn with_configuration(rest: &Value, keys: &[ReferenceKey]) -> Value {
    let mut schema = rest.clone();
    let mut configuration = object();
    configuration["description"] = json!("what stands below `profiler:` in the configuration");
    for key in keys.iter().filter(|key| key.is_in_this_build()) {
        insert(&mut configuration, &key.path, value_of(key));
    }
    schema["properties"]["config"] = configuration;
    schema
}

fn object() -> Value {
    json!({"type": ["object", "null"], "additionalProperties": false, "properties": {}})
}

fn insert(schema: &mut Value, path: &str, value: Value) {
    let Some((first, rest)) = path.split_once('.') else {
        // A list whose entries have keys of their own has got those already, or gets them later.
        if schema["properties"][path].is_null() {
            schema["properties"][path] = value;
        }
        return;
    };
    match first.strip_suffix("[]") {
        Some(list) => {
            let described = &mut schema["properties"][list];
            if described["items"]["properties"].is_null() {
                described["items"] = object();
            }
            insert(&mut described["items"], rest, value);
        }
        None => {
            let inner = &mut schema["properties"][first];
            if inner.is_null() {
                *inner = object();
            }
            insert(inner, rest, value);
        }
    }
}

/// What JSON can say of a value. What only telegen can judge, such as a glob, telegen judges.
fn value_of(key: &ReferenceKey) -> Value {
    let mut schema = Map::new();
    schema.insert("description".into(), json!(described(key)));
    let kind = key.kind.as_str();
    let typed: Value = if kind == "`true` or `false`" {
        json!({"type": ["boolean", "null"]})
    } else if kind.starts_with("a list, each entry ") {
        json!({"type": ["array", "string", "integer", "null"]})
    } else if let Some((least, most)) = bounds(kind) {
        json!({"type": ["integer", "null"], "minimum": least, "maximum": most})
    } else if let Some(choices) = choices(kind) {
        json!({"enum": choices})
    } else if kind.starts_with("a mapping of names") || kind.starts_with("a mapping of labels to strings") {
        json!({"type": ["object", "null"]})
    } else if kind.starts_with("a mapping of labels") {
        json!({"type": ["object", "array", "string", "null"]})
    } else {
        json!({"type": ["string", "number", "null"]})
    };
    if let Value::Object(typed) = typed {
        schema.extend(typed);
    }
    Value::Object(schema)
}

fn described(key: &ReferenceKey) -> String {
    let ReferenceKey { kind, remark, meaning, .. } = key;
    if remark.is_empty() { format!("{meaning} ({kind})") } else { format!("{meaning} ({kind}; {remark})") }
}

/// `an integer from 1 to 512 (frames)`
fn bounds(kind: &str) -> Option<(u64, u64)> {
    let rest = kind.strip_prefix("an integer from ").or_else(|| kind.strip_prefix("a pid from "))?;
    let (least, rest) = rest.split_once(" to ")?;
    Some((least.parse().ok()?, rest.split(' ').next()?.parse().ok()?))
}

/// `` `off`, `opt_out` or `both` ``; those that YAML reads as something else are allowed as that, too.
fn choices(kind: &str) -> Option<Vec<Value>> {
    let words: Vec<&str> = kind.split(", ").flat_map(|part| part.split(" or ")).collect();
    let mut values = vec![Value::Null];
    for word in words {
        let word = word.strip_prefix('`')?.strip_suffix('`')?;
        match word {
            "true" | "false" => values.push(json!(word == "true")),
            // What `off` and `on` are in YAML 1.1, which helm reads.
            "off" | "on" => values.extend([json!(word), json!(word == "on")]),
            _ => values.push(json!(word)),
        }
    }
    Some(values)
}

/// A value that the key takes, for a test that sets every key; `None` where the words do not say enough.
pub fn example_of(key: &ReferenceKey) -> Option<Value> {
    let kind = key.kind.as_str();
    let entry = kind.strip_prefix("a list, each entry ").unwrap_or(kind);
    let value = if entry == "`true` or `false`" {
        json!(true)
    } else if let Some((least, most)) = bounds(entry) {
        json!(most.min(least.max(64)))
    } else if let Some(choices) = choices(entry) {
        choices.into_iter().rev().find(Value::is_string)?
    } else if entry.starts_with("a glob") {
        json!("tg-*")
    } else if entry.starts_with("a container id") {
        json!("0123456789ab")
    } else if entry.starts_with("a mapping of labels") || entry.starts_with("a mapping of names") {
        json!({"app": "web"})
    } else if entry.starts_with("a duration") {
        json!("10s")
    } else if entry.starts_with("a size") {
        json!("64MiB")
    } else if entry.starts_with("a share") {
        json!("5%")
    } else if entry.starts_with("a moment") {
        json!("2036-12-01T12:00:00Z")
    } else if entry.starts_with("an IP address and a port") {
        json!("127.0.0.1:9690")
    } else if entry.starts_with("the path of a directory") {
        json!("/var/lib/telegen/profiles")
    } else if entry.starts_with("the path of a file") {
        json!("/etc/telegen/profiler/file")
    } else if entry.starts_with("a URL") {
        json!("https://192.0.2.1:10250")
    } else if entry.starts_with("a name of letters") || entry.starts_with("the name of a ") {
        json!("web")
    } else {
        return None;
    };
    Some(if kind.starts_with("a list, ") { json!([value]) } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = "profiler.enabled\n    `true` or `false`; default: true\n    the kill switch\n\n\
        profiler.cpu.sample_rate\n    an integer from 1 to 10000 (Hz); default: 99\n    how often\n\n\
        profiler.wall.enabled\n    `false`; not in this build\n    whether\n\n\
        profiler.targets\n    a list, each entry a mapping of the keys of a target\n    targets\n\n\
        profiler.targets[].name\n    a name of letters, digits, `-`, `_` and `.`\n    the label\n\n\
        profiler.pod_annotations\n    `off`, `opt_out` or `both`; default: off\n    whether\n";

    #[test]
    fn every_key_of_the_reference_is_in_the_schema() {
        let keys = read_reference(REFERENCE);
        assert_eq!(keys.len(), 6);
        let schema = with_configuration(&json!({"properties": {"image": {}}}), &keys);
        let properties = &schema["properties"]["config"]["properties"];
        assert_eq!(properties["enabled"]["type"], json!(["boolean", "null"]));
        assert_eq!(properties["cpu"]["properties"]["sample_rate"]["maximum"], 10000);
        assert!(properties["wall"].is_null(), "not in this build");
        assert_eq!(properties["targets"]["type"][0], "array");
        let name = &properties["targets"]["items"]["properties"]["name"];
        assert_eq!(name["type"], json!(["string", "number", "null"]));
        assert_eq!(properties["pod_annotations"]["enum"], json!([null, "off", false, "opt_out", "both"]));
        assert_eq!(
            properties["enabled"]["description"],
            "the kill switch (`true` or `false`; default: true)"
        );
        assert!(schema["properties"]["image"].is_object());
    }

    #[test]
    fn each_kind_of_value_has_an_example() {
        let key = |kind: &str| ReferenceKey {
            path: "x".into(),
            kind: kind.into(),
            remark: String::new(),
            meaning: String::new(),
        };
        assert_eq!(example_of(&key("an integer from 100 to 512 (frames)")), Some(json!(100)));
        assert_eq!(example_of(&key("a list, each entry a glob")), Some(json!(["tg-*"])));
        assert_eq!(example_of(&key("`text` or `json`")), Some(json!("json")));
        assert_eq!(example_of(&key("a thing nobody has heard of")), None);
    }
}
