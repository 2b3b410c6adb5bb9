//! Commands that a service has run once for the cloud, and those that take them back.

use catalog::{Guests, Step};
use model::{Model, Placed};
use names::HostName;
use wire::{Command, Expect, Op, Query, Sql};

use crate::context::{Scope, Templates};
use crate::{DesiredEach, DesiredFaults, DesiredForget, DesiredHeldBy, DesiredMoves, DesiredScript};

/// The scripts of a service, in its order. `sql`: socket and user of the SQL
/// store, which the guards ask.
pub fn of(
    model: &Model,
    templates: &mut Templates,
    placed: &Placed,
    sql: Option<&(String, String)>,
) -> Vec<DesiredScript> {
    let mut out: Vec<DesiredScript> = Vec::new();
    for step in &placed.service.steps {
        let made = script(model, templates, placed, sql, step, &out);
        out.push(made);
    }
    out
}

/// What takes them back, last first.
pub fn undone(
    model: &Model,
    templates: &mut Templates,
    placed: &Placed,
    sql: Option<&(String, String)>,
) -> Vec<DesiredScript> {
    let undos = placed.service.steps.iter().rev().filter_map(|s| s.undo.as_ref());
    undos
        .map(|undo| {
            let mut made = script(model, templates, placed, sql, undo, &[]);
            if let Op::Run(command) = &mut made.op {
                command.unit.push_str("-undo");
            }
            made
        })
        .collect()
}

/// One statement for the SQL store, given its socket and user; none where there is no such store.
fn question(sql: Option<&(String, String)>, statement: String) -> Option<Query> {
    let (socket, user) = sql?.clone();
    Some(Query::Sql(Sql {
        socket,
        user,
        statements: vec![statement],
    }))
}

/// Commands that remove the service's records of hosts that left.
pub fn forget(
    model: &Model,
    templates: &mut Templates,
    placed: &Placed,
    sql: Option<&(String, String)>,
) -> Vec<DesiredForget> {
    let service = &placed.service.name.value;
    let scope = Scope {
        service,
        host: None,
        item: None,
    };
    let made = placed.service.forget.iter().map(|forget| {
        let mut script = script(model, templates, placed, None, &forget.step, &[]);
        if let Op::Run(command) = &mut script.op {
            command.unit.push_str("-forget");
        }
        script.asks = vec![service.clone()];
        let held_by = forget.held_by.as_ref().and_then(|held| {
            Some(DesiredHeldBy {
                query: question(sql, templates.text(&scope, &held.sql))?,
                what: held.what.clone(),
                help: held.help.clone(),
            })
        });
        DesiredForget { script, held_by }
    });
    made.collect()
}

/// Commands that move a host's VMs, with its name for `{host}`; none where they cannot be moved.
pub fn moves(
    model: &Model,
    templates: &mut Templates,
    placed: &Placed,
    guests: &Guests,
    host: &HostName,
) -> Option<DesiredMoves> {
    let moves = guests.moves.as_ref()?;
    let mut about = |step: &Step| {
        let mut made = script(model, templates, placed, None, step, &[]);
        if let Op::Run(command) = &mut made.op {
            command.unit = format!("{}-{host}", command.unit);
            for word in &mut command.argv {
                *word = word.replace("{host}", host.as_str());
            }
        }
        made.asks = vec![placed.service.name.value.clone()];
        made
    };
    Some(DesiredMoves {
        empty: about(&moves.empty),
        fill: about(&moves.fill),
    })
}

/// Commands for the hosts that are left where most are lost, each with its question whether it is done.
pub fn left_alone(model: &Model, templates: &mut Templates, placed: &Placed) -> Vec<DesiredScript> {
    let steps = placed.service.left_alone.iter();
    steps
        .map(|step| {
            let mut made = script(model, templates, placed, None, step, &[]);
            if let Op::Run(command) = &mut made.op {
                command.unit.push_str("-alone");
                let mut argv = command.argv.clone();
                argv.push("done".to_owned());
                let timeout_ms = 20_000;
                made.guards = vec![(Query::Run { argv, timeout_ms }, Expect::Exit(0))];
            }
            made
        })
        .collect()
}

/// Commands by which hosts tell what is wrong with their part of the service.
pub fn faults(model: &Model, templates: &mut Templates, placed: &Placed) -> Vec<DesiredFaults> {
    let service = &placed.service.name.value;
    let scope = Scope {
        service,
        host: None,
        item: None,
    };
    let steps = placed.service.faults.iter();
    steps
        .map(|step| DesiredFaults {
            answer: format!("faults/{service}/{}", step.name.value),
            hosts: model.names_on(&step.on),
            query: Query::Run {
                argv: step.run.iter().map(|word| templates.text(&scope, word)).collect(),
                timeout_ms: step.timeout.saturating_mul(1000).min(10_000),
            },
        })
        .collect()
}

fn script(
    model: &Model,
    templates: &mut Templates,
    placed: &Placed,
    sql: Option<&(String, String)>,
    step: &Step,
    earlier: &[DesiredScript],
) -> DesiredScript {
    let service = &placed.service.name.value;
    let scope = Scope {
        service,
        host: None,
        item: None,
    };
    let steps = &placed.service.steps;
    let is_own = |name: &str| steps.iter().any(|s| s.name.value == name);
    let after = |keep: &dyn Fn(&str) -> bool| -> Vec<String> {
        let names = step.after.iter().map(|a| a.value.as_str());
        names.filter(|a| keep(a)).map(str::to_owned).collect()
    };
    let mut asks = after(&|a| a != "database" && !is_own(a));
    // What goes after one that asks waits as long as that does.
    let before = |s: &&DesiredScript| step.after.iter().any(|a| a.value == s.name);
    asks.extend(earlier.iter().filter(before).flat_map(|s| s.asks.clone()));
    let argv = step.run.iter().map(|s| templates.text(&scope, s)).collect();
    let env = step
        .env
        .iter()
        .map(|(k, v)| (k.clone(), templates.text(&scope, v)))
        .collect();
    let each = step.each.as_ref().map(|role| DesiredEach {
        hosts: model.names_on(std::slice::from_ref(role)),
        ready: (step.ready_when.as_ref()).and_then(|text| question(sql, templates.text(&scope, text))),
    });
    let done = step.done_when.as_ref();
    let guards = match done.and_then(|done| Some((done, question(sql, templates.text(&scope, &done.sql))?))) {
        Some((done, query)) => {
            let expect = match (&each, &done.rows) {
                (Some(each), _) => Expect::Names(each.hosts.iter().map(ToString::to_string).collect()),
                (None, Some(rows)) => Expect::Rows(
                    rows.iter()
                        .map(|r| r.iter().map(|c| templates.text(&scope, c)).collect())
                        .collect(),
                ),
                (None, None) => Expect::SomeRow,
            };
            vec![(query, expect)]
        }
        None => Vec::new(),
    };
    DesiredScript {
        service: service.clone(),
        name: step.name.value.clone(),
        hosts: model.names_on(&step.on),
        op: Op::Run(Command {
            unit: format!("quorate-{service}-{}", step.name.value),
            argv,
            user: step.user.clone(),
            env,
            stdin: None,
            cwd: String::new(),
            timeout_ms: step.timeout * 1000,
        }),
        guards,
        each,
        after: after(&is_own),
        database: step.after.iter().any(|a| a.value == "database"),
        asks,
    }
}
