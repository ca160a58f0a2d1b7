//! The order of fields: servers write structs of Go, so the fields of an object come in the order of their
//! declarations and the keys of maps in that of the alphabet. A client that reads as it comes may see it.

use serde_json::{Map, Value};
use std::fmt::Write;

/// Fields in an order that is right for all structs that occur here (k8s.io/api, k8s.io/apimachinery).
const DECLARED: &[&str] = &[
    "kind",
    "apiVersion",
    "metadata",
    "spec",
    "type",
    "status",
    "object",
    // ContainerStatus before Container, with which it shares the first and the last.
    "name",
    "state",
    "lastState",
    "ready",
    "restartCount",
    "image",
    "imageID",
    "containerID",
    "started",
    "command",
    "args",
    "workingDir",
    // ObjectMeta, OwnerReference, ManagedFieldsEntry
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "continue",
    "remainingItemCount",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "controller",
    "blockOwnerDeletion",
    // Specs of workloads
    "parallelism",
    "completions",
    "backoffLimit",
    "schedule",
    "suspend",
    "replicas",
    "selector",
    "serviceName",
    "manualSelector",
    "template",
    "jobTemplate",
    "completionMode",
    "podReplacementPolicy",
    "strategy",
    "updateStrategy",
    "podManagementPolicy",
    "revisionHistoryLimit",
    "progressDeadlineSeconds",
    // PodSpec and Container
    "volumes",
    "initContainers",
    "containers",
    "ports",
    "envFrom",
    "env",
    "valueFrom",
    "resources",
    "volumeMounts",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "targetContainerName",
    "ephemeralContainers",
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "dnsPolicy",
    "nodeSelector",
    "serviceAccountName",
    "serviceAccount",
    "nodeName",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "shareProcessNamespace",
    "securityContext",
    "hostname",
    "subdomain",
    "affinity",
    "schedulerName",
    "tolerations",
    "priorityClassName",
    "priority",
    "enableServiceLinks",
    "preemptionPolicy",
    // PodStatus
    "observedGeneration",
    "phase",
    "conditions",
    "lastProbeTime",
    "lastTransitionTime",
    "message",
    "reason",
    "details",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "startTime",
    "initContainerStatuses",
    "containerStatuses",
    "qosClass",
    "ephemeralContainerStatuses",
    "code",
    "items",
    // What a server says of itself
    "major",
    "minor",
    "emulationMajor",
    "emulationMinor",
    "minCompatibilityMajor",
    "minCompatibilityMinor",
    "gitVersion",
    "gitCommit",
    "gitTreeState",
    "buildDate",
    "goVersion",
    "compiler",
    "platform",
];

/// Structs whose order is another.
const OTHERWISE: &[(&str, &[&str])] = &[
    ("ownerReferences", &["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"]),
    (
        "managedFields",
        &["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"],
    ),
    ("tolerations", &["key", "operator", "value", "effect", "tolerationSeconds"]),
    ("details", &["name", "group", "kind", "causes", "retryAfterSeconds"]),
    ("causes", &["reason", "message", "field"]),
];

/// Maps whose keys are the user's, or which are kept as they were sent.
const MAPS: &[&str] = &[
    "labels",
    "annotations",
    "matchLabels",
    "nodeSelector",
    "fieldsV1",
    "limits",
    "requests",
    "allocatedResources",
    "data",
];

/// Writes a value as a server would.
pub(crate) fn write(value: &Value, out: &mut String) {
    write_field("", value, out);
}

/// The fields of an object between its braces, but for kind and version, which items of lists go without.
pub(crate) fn write_without_type(object: &Map<String, Value>, out: &mut String) {
    let fields = declared("", object);
    write_fields(fields.into_iter().filter(|(name, _)| *name != "kind" && *name != "apiVersion"), out);
}

/// The value of a field of that name.
pub(crate) fn write_field(name: &str, value: &Value, out: &mut String) {
    match value {
        Value::Object(object) if MAPS.contains(&name) => {
            // A map in `serde_json` is in the order of the alphabet.
            let _ = write!(out, "{}", Value::Object(object.clone()));
        }
        Value::Object(object) => {
            out.push('{');
            write_fields(declared(name, object).into_iter(), out);
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_field(name, item, out);
            }
            out.push(']');
        }
        plain => {
            let _ = write!(out, "{plain}");
        }
    }
}

fn write_fields<'a>(fields: impl Iterator<Item = (&'a str, &'a Value)>, out: &mut String) {
    for (index, (name, value)) in fields.enumerate() {
        if index > 0 {
            out.push(',');
        }
        let _ = write!(out, "{}:", Value::from(name));
        write_field(name, value, out);
    }
}

fn declared<'a>(parent: &str, object: &'a Map<String, Value>) -> Vec<(&'a str, &'a Value)> {
    let mut fields: Vec<_> = object.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let order = OTHERWISE.iter().find(|(place, _)| *place == parent).map_or(DECLARED, |(_, order)| *order);
    fields.sort_by_key(|(name, _)| order.iter().position(|known| known == name).unwrap_or(usize::MAX));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_as_declared_and_keys_of_maps_by_the_alphabet() {
        let value = serde_json::json!({
            "status": {"phase": "Running"},
            "metadata": {
                "ownerReferences": [{"name": "a", "kind": "ReplicaSet", "apiVersion": "apps/v1"}],
                "labels": {"name": "x", "app": "y"},
                "name": "p",
            },
            "apiVersion": "v1",
            "kind": "Pod",
        });
        let mut text = String::new();
        write(&value, &mut text);
        let expected = concat!(
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","labels":{"app":"y","name":"x"},"#,
            r#""ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"a"}]},"#,
            r#""status":{"phase":"Running"}}"#,
        );
        assert_eq!(text, expected);
    }
}
