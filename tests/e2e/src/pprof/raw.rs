//! The report `-raw`: every table of a profile, written out.

use super::{Frame, Mapping, Profile, Sample};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// A location has several lines where functions are inlined, innermost first.
struct Location {
    address: u64,
    mapping: u64,
    lines: Vec<(String, String, u32)>,
}

pub(super) fn parse(raw: &str) -> Result<Profile> {
    let (header, rest) = raw.split_once("Samples:\n").context("no samples")?;
    let (samples, rest) = rest.split_once("Locations\n").context("no locations")?;
    let (locations, mappings) = rest.split_once("Mappings\n").context("no mappings")?;
    let field = |name: &str| {
        header
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
            .with_context(|| format!("no {name}"))
    };
    let locations = parse_locations(locations)?;
    let mappings = parse_mappings(mappings)?;
    let (sample_types, samples) = parse_samples(samples, &locations, &mappings)?;
    Ok(Profile {
        sample_types,
        period_type: field("PeriodType:")?.to_owned(),
        period: field("Period:")?.parse()?,
        start: parse_time(field("Time:")?)?,
        duration: Duration::ZERO,
        mappings,
        samples,
    })
}

/// `2026-11-23 14:03:51.080416544 +0000 UTC`
fn parse_time(text: &str) -> Result<SystemTime> {
    let mut words = text.split(' ');
    let (date, time) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let timestamp: jiff::Timestamp =
        format!("{date}T{time}Z").parse().with_context(|| format!("time {text:?}"))?;
    Ok(timestamp.into())
}

fn parse_mappings(text: &str) -> Result<BTreeMap<u64, Mapping>> {
    let begins = |line: &str| line.split_once(": 0x").is_some_and(|(id, _)| id.parse::<u64>().is_ok());
    let lines = join_lines(text, |_, next| !begins(next));
    lines.iter().map(|line| parse_mapping(line).with_context(|| format!("mapping {line:?}"))).collect()
}

/// Paths and labels may hold line breaks, which the report prints as they are: lines for which `continues`, given the
/// text so far, holds belong to the one before.
fn join_lines(text: &str, continues: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match joined.last_mut() {
            Some(last) if continues(last, line) => {
                last.push('\n');
                last.push_str(line);
            }
            _ => joined.push(line.to_owned()),
        }
    }
    joined
}

/// `1: 0x400000/0x4ab000/0x0 /path build_id [FN][FL]`
fn parse_mapping(line: &str) -> Option<(u64, Mapping)> {
    const FLAGS: [&str; 4] = ["[FN]", "[FL]", "[LN]", "[IN]"];
    let mut words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    let id = words.first()?.strip_suffix(':')?.parse().ok()?;
    words.drain(..2);
    if words
        .last()
        .is_some_and(|word| FLAGS.iter().fold((*word).to_owned(), |w, flag| w.replace(flag, "")).is_empty())
    {
        words.pop();
    }
    let is_build_id = |word: &str| word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let build_id = words.pop_if(|word| is_build_id(word)).unwrap_or_default().to_owned();
    Some((id, Mapping { file: words.join(" "), build_id }))
}

fn parse_locations(text: &str) -> Result<BTreeMap<u64, Location>> {
    let mut locations = BTreeMap::new();
    let mut current = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut rest = line.trim_start();
        //      1: 0x4aa5b3 M=1 main.spin /src/hot.go:4 s=0     and, if further functions are inlined,
        //              main.caller /src/hot.go:9 s=0
        if let Some((id, behind)) = rest.split_once(": 0x")
            && let Ok(id) = id.parse()
        {
            current = id;
            let (address, behind) = behind.split_once(' ').unwrap_or((behind, ""));
            let address = u64::from_str_radix(address, 16).with_context(|| format!("address {address:?}"))?;
            rest = behind;
            let mut mapping = 0;
            if let Some(behind) = rest.strip_prefix("M=") {
                let (id, behind) = behind.split_once(' ').unwrap_or((behind, ""));
                (mapping, rest) = (id.parse()?, behind);
            }
            locations.insert(current, Location { address, mapping, lines: Vec::new() });
        }
        let location =
            locations.get_mut(&current).with_context(|| format!("line without location: {line:?}"))?;
        if !rest.trim().is_empty() {
            location.lines.push(
                parse_line(rest.trim_start().trim_start_matches("[F] "))
                    .with_context(|| format!("line {line:?}"))?,
            );
        }
    }
    Ok(locations)
}

/// `name file:line s=start(system name)`; the name may hold blanks.
fn parse_line(text: &str) -> Option<(String, String, u32)> {
    let (front, _start) = text.rsplit_once(" s=")?;
    let (name, place) = front.rsplit_once(' ')?;
    let (file, line) = place.rsplit_once(':')?;
    Some((name.to_owned(), file.to_owned(), line.parse().ok()?))
}

fn parse_samples(
    text: &str,
    locations: &BTreeMap<u64, Location>,
    mappings: &BTreeMap<u64, Mapping>,
) -> Result<(Vec<String>, Vec<Sample>)> {
    const LABELS: &str = "                ";
    let (types, lines) = text.split_once('\n').context("no sample types")?;
    let mut samples: Vec<Sample> = Vec::new();
    let is_open = |so_far: &str, _: &str| {
        so_far.starts_with(LABELS) && !so_far.ends_with("] ") && !so_far.ends_with(']')
    };
    for line in &join_lines(lines, is_open) {
        if let Some(labels) = line.strip_prefix(LABELS)
            && labels.contains(":[")
        {
            samples
                .last_mut()
                .context("labels before the first sample")?
                .labels
                .extend(parse_labels(labels)?);
            continue;
        }
        let (values, stack) = line.split_once(':').with_context(|| format!("sample {line:?}"))?;
        let values: Vec<u64> = values.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let mut frames = Vec::new();
        for id in stack.split_whitespace() {
            let location = locations.get(&id.parse()?).with_context(|| format!("no location {id}"))?;
            frames.extend(frames_at(location, mappings));
        }
        let (count, value) =
            (values.first().copied().context("no value")?, values.get(1).copied().unwrap_or(0));
        samples.push(Sample { count, value, frames, labels: BTreeMap::new() });
    }
    // `go tool pprof` marks the type that it shows by default.
    let types = types.split_whitespace().map(|name| name.trim_end_matches("[dflt]").to_owned());
    Ok((types.collect(), samples))
}

fn frames_at<'a>(
    location: &'a Location,
    mappings: &'a BTreeMap<u64, Mapping>,
) -> impl Iterator<Item = Frame> + 'a {
    let last = location.lines.len().saturating_sub(1);
    location.lines.iter().enumerate().map(move |(at, (function, file, line))| Frame {
        function: function.clone(),
        file: file.clone(),
        line: *line,
        mapping: mappings.get(&location.mapping).map(|mapping| mapping.file.clone()).unwrap_or_default(),
        inlined: at != last,
        address: location.address,
    })
}

/// `key:[value] other.key:[a value with blanks]`
fn parse_labels(text: &str) -> Result<Vec<(String, String)>> {
    let mut labels = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() {
        let (key, behind) = rest.split_once(":[").with_context(|| format!("labels {text:?}"))?;
        let end = (0..behind.len()).find(|&at| behind.is_char_boundary(at) && ends_value(&behind[at..]));
        let end = end.with_context(|| format!("labels {text:?}"))?;
        labels.push((key.to_owned(), behind[..end].to_owned()));
        rest = behind[end + 1..].trim_start();
    }
    Ok(labels)
}

/// Whether the text begins with the bracket that closes a value: the last one, or one before the next key.
fn ends_value(text: &str) -> bool {
    let Some(behind) = text.strip_prefix(']') else { return false };
    let next_key = behind.strip_prefix(' ').and_then(|next| next.split_once(":["));
    behind.is_empty() || next_key.is_some_and(|(key, _)| !key.is_empty() && !key.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = "PeriodType: cpu nanoseconds
Period: 10101010
Time: 2026-11-23 14:03:51.080416544 +0000 UTC
Duration: 1.10
Samples:
samples/count cpu/nanoseconds
         35  353535350: 1 2 
                k:[v w] x] thread.name:[a
b]
                process.pid:[77]
          2   20202020: 2 
Locations
     1: 0x4aa5b3 M=1 a::inner<x, y> /src/a.cc:4 s=3(_ZN1a)
             a::outer /src/a.cc:14 s=0
     2: 0xffffffff81000000 M=2 vfs_read :0 s=0
Mappings
1: 0x400000/0x4ab000/0x0 /opt/a
b 0123456789abcdef [FN][FL]
2: 0x0/0x0/0x0 [kernel]  [FN]
";

    #[test]
    fn the_raw_report_is_understood() -> Result<()> {
        let profile = parse(RAW)?;
        assert_eq!((profile.period, profile.total()), (10_101_010, 37));
        assert_eq!(profile.start.duration_since(SystemTime::UNIX_EPOCH)?.subsec_nanos(), 80_416_544);
        let sample = &profile.samples[0];
        let names: Vec<_> =
            sample.frames.iter().map(|frame| (&*frame.function, frame.line, frame.inlined)).collect();
        let addresses: Vec<_> = sample.frames.iter().map(|frame| frame.address).collect();
        assert_eq!(addresses, [0x4a_a5b3, 0x4a_a5b3, 0xffff_ffff_8100_0000]);
        assert_eq!(names, [("a::inner<x, y>", 4, true), ("a::outer", 14, false), ("vfs_read", 0, false)]);
        assert_eq!((sample.label("k"), sample.label("thread.name")), ("v w] x", "a\nb"));
        assert_eq!(sample.label("process.pid"), "77");
        assert_eq!((&*sample.frames[0].mapping, &*sample.frames[2].mapping), ("/opt/a\nb", "[kernel]"));
        assert_eq!(profile.mappings[&1].build_id, "0123456789abcdef");
        assert_eq!((profile.count_with("a::outer"), profile.count_with("vfs_read")), (35, 37));
        Ok(())
    }
}
