//! The types of single values: how each is read from YAML and written to it.

use crate::choice::Named;
use crate::quote::quoted;
use crate::source::{Span, shown};
use crate::yaml::{Node, ScalarKind, Value};
use crate::{CoreShare, Error, KubernetesUse, Rules, format_duration, format_moment, format_size};
use crate::{parse_duration, parse_moment, parse_size};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use telegen_model::Pid;

/// What is wrong with a value.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    /// Which part of the key's value it is about, such as `[0]`, if not the whole.
    pub(crate) part: String,
    /// What follows the key's name in the message.
    pub(crate) what: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(span: Span, what: String) -> Self {
        Self { span, part: String::new(), what, label: String::new(), help: None }
    }

    /// The fault of a node that is something else than what is right.
    pub(crate) fn wrong(node: &Node<'_>, expected: &str, help: Option<&str>) -> Self {
        let what = format!("must be {expected}, but this is {}", node.describe());
        Self { help: help.map(str::to_owned), ..Self::new(node.span, what) }
    }

    /// The fault of a value that is of the right type but not right.
    fn outside(node: &Node<'_>, expected: &str, found: &str) -> Self {
        Self::new(node.span, format!("must be {expected}, but is {found}"))
    }

    /// The fault of a text that cannot be read.
    fn malformed(node: &Node<'_>, error: &Error) -> Self {
        Self::new(node.span, format!("is wrong: {error}"))
    }
}

/// A type of single values.
pub(crate) trait Type {
    type Value;

    /// What is right, such as "an integer from 1 to 10000".
    fn expected(&self) -> String;

    /// Reads a value.
    fn read(&self, node: &Node<'_>) -> Result<Self::Value, Fault>;

    /// Writes a value as YAML that is read as the same value.
    fn write(&self, value: &Self::Value) -> String;

    /// The fault of a node that is not of this type at all.
    fn wrong(&self, node: &Node<'_>, help: Option<&str>) -> Fault {
        Fault::wrong(node, &self.expected(), help)
    }
}

/// `true` or `false`.
pub(crate) struct Flag;

/// The switch of something that this build does not have: only `false` is right.
pub(crate) struct Unbuilt;

/// A whole number.
pub(crate) struct Integer {
    pub(crate) range: RangeInclusive<u32>,
    pub(crate) unit: &'static str,
}

/// A duration, as [`parse_duration`] reads it.
pub(crate) struct Time(pub(crate) RangeInclusive<Duration>);

/// A moment, as [`parse_moment`] reads it.
pub(crate) struct Moment;

/// A size in bytes, as [`parse_size`] reads it.
pub(crate) struct Size(pub(crate) RangeInclusive<u64>);

/// CPU time as a share of one core, as [`CoreShare`] reads it.
pub(crate) struct CpuShare(pub(crate) RangeInclusive<CoreShare>);

/// One of a few words.
pub(crate) struct Word<T>(pub(crate) PhantomData<T>);

/// Where to listen.
pub(crate) struct Address;

/// The path of something.
pub(crate) enum PathOf {
    File,
    Directory,
}

/// `true`, `false`, or `auto`.
pub(crate) struct Switch;

/// A process id.
pub(crate) struct PidNumber;

/// A text that is not empty.
pub(crate) struct Text(pub(crate) &'static str);

impl Type for Flag {
    type Value = bool;

    fn expected(&self) -> String {
        "`true` or `false`".into()
    }

    fn read(&self, node: &Node<'_>) -> Result<bool, Fault> {
        match &node.value {
            Value::Scalar(scalar) if scalar.kind() == ScalarKind::Boolean => {
                Ok(scalar.text.eq_ignore_ascii_case("true"))
            }
            Value::Scalar(scalar) => match &*scalar.text.to_ascii_lowercase() {
                "true" | "yes" | "on" => Err(self.wrong(node, Some("write `true`, without quotes"))),
                "false" | "no" | "off" => Err(self.wrong(node, Some("write `false`, without quotes"))),
                _ => Err(self.wrong(node, None)),
            },
            _ => Err(self.wrong(node, None)),
        }
    }

    fn write(&self, value: &bool) -> String {
        value.to_string()
    }
}

impl Type for Unbuilt {
    type Value = bool;

    fn expected(&self) -> String {
        "`false`".into()
    }

    fn read(&self, node: &Node<'_>) -> Result<bool, Fault> {
        if !Flag.read(node)? {
            return Ok(false);
        }
        let what = "cannot be `true`: this build does not have this type of profile";
        Err(Fault { label: "not in this build".into(), ..Fault::new(node.span, what.into()) })
    }

    fn write(&self, value: &bool) -> String {
        value.to_string()
    }
}

impl Type for Integer {
    type Value = u32;

    fn expected(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" ({})", self.unit) };
        format!("an integer from {} to {}{unit}", self.range.start(), self.range.end())
    }

    fn read(&self, node: &Node<'_>) -> Result<u32, Fault> {
        whole_number(node, &self.range, &self.expected())
    }

    fn write(&self, value: &u32) -> String {
        value.to_string()
    }
}

impl Type for Time {
    type Value = Duration;

    fn expected(&self) -> String {
        format!("a duration from {} to {}", format_duration(*self.0.start()), format_duration(*self.0.end()))
    }

    fn read(&self, node: &Node<'_>) -> Result<Duration, Fault> {
        let text =
            text(node).ok_or_else(|| self.wrong(node, Some("write it with its unit, such as `10s`")))?;
        let value = parse_duration(text).map_err(|error| Fault::malformed(node, &error))?;
        let inside = self.0.contains(&value);
        if inside { Ok(value) } else { Err(Fault::outside(node, &self.expected(), &format_duration(value))) }
    }

    fn write(&self, value: &Duration) -> String {
        format_duration(*value)
    }
}

impl Type for Moment {
    type Value = SystemTime;

    fn expected(&self) -> String {
        "a moment such as 2026-12-01T12:00:00Z".into()
    }

    fn read(&self, node: &Node<'_>) -> Result<SystemTime, Fault> {
        let text = text(node).ok_or_else(|| self.wrong(node, None))?;
        parse_moment(text).map_err(|error| Fault::malformed(node, &error))
    }

    fn write(&self, value: &SystemTime) -> String {
        quoted(&format_moment(*value))
    }
}

impl Type for Size {
    type Value = u64;

    fn expected(&self) -> String {
        format!("a size from {} to {}", format_size(*self.0.start()), format_size(*self.0.end()))
    }

    fn read(&self, node: &Node<'_>) -> Result<u64, Fault> {
        let text = text(node).ok_or_else(|| self.wrong(node, Some("write a size such as `512MiB`")))?;
        let value = parse_size(text).map_err(|error| Fault::malformed(node, &error))?;
        if self.0.contains(&value) {
            Ok(value)
        } else {
            Err(Fault::outside(node, &self.expected(), &format_size(value)))
        }
    }

    fn write(&self, value: &u64) -> String {
        format_size(*value)
    }
}

impl Type for CpuShare {
    type Value = CoreShare;

    fn expected(&self) -> String {
        format!("a share of one core from {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, node: &Node<'_>) -> Result<CoreShare, Fault> {
        let text = text(node).ok_or_else(|| self.wrong(node, Some("write it in percent, such as `5%`")))?;
        let value: CoreShare = text.parse().map_err(|error| Fault::malformed(node, &error))?;
        let inside = self.0.contains(&value);
        if inside { Ok(value) } else { Err(Fault::outside(node, &self.expected(), &value.to_string())) }
    }

    fn write(&self, value: &CoreShare) -> String {
        value.to_string()
    }
}

impl<T: Named> Type for Word<T> {
    type Value = T;

    fn expected(&self) -> String {
        let words: Vec<String> = T::NAMES.iter().map(|name| format!("`{name}`")).collect();
        match words.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
            _ => words.concat(),
        }
    }

    fn read(&self, node: &Node<'_>) -> Result<T, Fault> {
        let text = text(node).ok_or_else(|| self.wrong(node, None))?;
        T::from_name(text)
            .ok_or_else(|| Fault::outside(node, &self.expected(), &format!("`{}`", shown(text))))
    }

    fn write(&self, value: &T) -> String {
        value.name().to_owned()
    }
}

impl Type for Address {
    type Value = SocketAddr;

    fn expected(&self) -> String {
        "an IP address and a port".into()
    }

    fn read(&self, node: &Node<'_>) -> Result<SocketAddr, Fault> {
        const HELP: &str = "write it as `0.0.0.0:9691`, `127.0.0.1:9691` or \"[::]:9691\"";
        let text = text(node).ok_or_else(|| self.wrong(node, Some(HELP)))?;
        text.parse().map_err(|_| Fault {
            help: Some(HELP.into()),
            ..Fault::outside(node, &self.expected(), &format!("`{}`", shown(text)))
        })
    }

    fn write(&self, value: &SocketAddr) -> String {
        quoted(&value.to_string())
    }
}

impl PathOf {
    fn name(&self) -> &'static str {
        match self {
            Self::File => "the path of a file",
            Self::Directory => "the path of a directory",
        }
    }
}

impl Type for PathOf {
    type Value = PathBuf;

    fn expected(&self) -> String {
        self.name().into()
    }

    fn read(&self, node: &Node<'_>) -> Result<PathBuf, Fault> {
        let path = Text(self.name()).read(node)?;
        if path.contains('\0') {
            return Err(Fault::outside(node, self.name(), "no path can be: it holds a NUL"));
        }
        Ok(PathBuf::from(path))
    }

    fn write(&self, value: &PathBuf) -> String {
        quoted(&value.to_string_lossy())
    }
}

impl Type for Switch {
    type Value = KubernetesUse;

    fn expected(&self) -> String {
        "`auto`, `true` or `false`".into()
    }

    fn read(&self, node: &Node<'_>) -> Result<KubernetesUse, Fault> {
        match &node.value {
            Value::Scalar(scalar) if scalar.text == "auto" => Ok(KubernetesUse::Auto),
            Value::Scalar(scalar) if scalar.kind() == ScalarKind::Boolean => {
                Flag.read(node).map(|on| if on { KubernetesUse::On } else { KubernetesUse::Off })
            }
            _ => Err(self.wrong(node, None)),
        }
    }

    fn write(&self, value: &KubernetesUse) -> String {
        value.name().to_owned()
    }
}

impl Type for PidNumber {
    type Value = Pid;

    fn expected(&self) -> String {
        format!("a pid from {} to {}", Rules::PIDS.start(), Rules::PIDS.end())
    }

    fn read(&self, node: &Node<'_>) -> Result<Pid, Fault> {
        whole_number(node, &Rules::PIDS, &self.expected()).map(Pid)
    }

    fn write(&self, value: &Pid) -> String {
        value.to_string()
    }
}

impl Type for Text {
    type Value = String;

    fn expected(&self) -> String {
        self.0.into()
    }

    fn read(&self, node: &Node<'_>) -> Result<String, Fault> {
        match &node.value {
            Value::Scalar(scalar) if scalar.kind() == ScalarKind::Text && !scalar.text.is_empty() => {
                Ok(scalar.text.clone().into_owned())
            }
            Value::Scalar(scalar) if scalar.text.is_empty() => {
                Err(Fault { label: "empty".into(), ..Fault::outside(node, &self.expected(), "empty") })
            }
            Value::Scalar(_) if node.is_null() => {
                Err(self.wrong(node, Some("give it a text, between quotes if that is `null` or `~`")))
            }
            Value::Scalar(scalar) => {
                let help = format!(
                    "write it between quotes to have it as a string: {}",
                    quoted(&shown(&scalar.text))
                );
                Err(self.wrong(node, Some(&help)))
            }
            Value::Map(_) | Value::List(_) => Err(self.wrong(
                node,
                Some("a text that begins with `{` or `[` needs quotes: \"{sh,bash}\", \"[a-z]*\""),
            )),
            Value::Faulty => Err(self.wrong(node, None)),
        }
    }

    fn write(&self, value: &String) -> String {
        quoted(value)
    }
}

/// The text of a scalar that is something, quoted or not.
fn text<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match &node.value {
        Value::Scalar(scalar) if !node.is_null() => Some(&scalar.text),
        _ => None,
    }
}

fn whole_number(node: &Node<'_>, range: &RangeInclusive<u32>, expected: &str) -> Result<u32, Fault> {
    let Value::Scalar(scalar) = &node.value else { return Err(Fault::wrong(node, expected, None)) };
    match scalar.kind() {
        ScalarKind::Integer => integer(&scalar.text)
            .filter(|value| range.contains(value))
            .ok_or_else(|| Fault::outside(node, expected, &shown(&scalar.text))),
        ScalarKind::Text if integer(&scalar.text).is_some() => {
            Err(Fault::wrong(node, expected, Some("write the number without quotes")))
        }
        _ => Err(Fault::wrong(node, expected, None)),
    }
}

/// An integer in the notations of the YAML 1.2 core schema; `None` if it is none or too large for any key.
fn integer(text: &str) -> Option<u32> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok();
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u32::from_str_radix(digits, 8).ok();
    }
    text.parse().ok()
}
