//! `telegen doctor`: what this machine and this process have of what telegen can use, and what each lack costs.

mod confinement;
mod debug_files;
mod kernel;
mod machine;
mod permissions;
mod pods;

use crate::failure::{Failure, Status};
use crate::output::{print, shown, table};
use serde::Serialize;
use std::path::Path;

/// How the findings are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DoctorFormat {
    Table,
    Json,
}

/// How a finding is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    /// Something is lost, but profiles are made.
    Degraded,
    /// No profile can be made.
    Missing,
}

#[derive(Clone, Debug, Serialize)]
struct Finding {
    name: &'static str,
    status: Health,
    found: String,
    /// What is lost by it; empty if nothing is.
    cost: &'static str,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    findings: Vec<Finding>,
}

/// Looks at everything, and says what it costs. Fails with the status for what is missing if no profile can be made.
pub(crate) fn run(format: DoctorFormat, config: Option<&Path>) -> Result<(), Failure> {
    let findings: Vec<Finding> = [
        kernel::findings(),
        permissions::findings(),
        confinement::findings(),
        machine::findings(),
        pods::findings(config),
        debug_files::findings(config),
    ]
    .concat();
    let ok = findings.iter().all(|finding| finding.status != Health::Missing);
    let text = match format {
        DoctorFormat::Json => {
            let report = Report { ok, findings };
            serde_json::to_string_pretty(&report).map_err(|error| Failure::new(Status::Failed, error))? + "\n"
        }
        DoctorFormat::Table => rendered(&findings),
    };
    print(&text).map_err(|error| Failure::new(Status::Failed, error))?;
    if ok { Ok(()) } else { Err(Failure::message(Status::NotPermitted, "no profile can be made here")) }
}

fn rendered(findings: &[Finding]) -> String {
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            let status = match finding.status {
                Health::Ok => "ok",
                Health::Degraded => "degraded",
                Health::Missing => "missing",
            };
            let first = finding.found.lines().next().unwrap_or_default();
            let found = if finding.cost.is_empty() {
                shown(first)
            } else {
                format!("{}: {}", shown(first), finding.cost)
            };
            vec![finding.name.into(), status.into(), found]
        })
        .collect();
    table(&["CHECK", "STATUS", "FOUND"], &rows)
}

fn finding(name: &'static str, status: Health, found: impl Into<String>, cost: &'static str) -> Finding {
    Finding { name, status, found: found.into(), cost: if status == Health::Ok { "" } else { cost } }
}
