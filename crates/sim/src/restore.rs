//! A backup that is loaded: what is begun, what is done, and who may run meanwhile.

use wire::{Answer, Command, Fact, Query, Sql};

use crate::{Failure, World};

/// Operations for which a load goes on whose operator was killed: more than the next plan does
/// before its own load.
const LOADS: usize = 40;

/// The load of a backup.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restored {
    begun: bool,
    done: bool,
    /// Loads that came to their end.
    loads: usize,
    /// A load that goes on: its host, and the operation at which it ends.
    loading: Option<(String, usize)>,
}

impl World {
    /// True for the command that loads a backup.
    pub(crate) fn is_load(command: &Command) -> bool {
        command.unit.starts_with("quorate-load-")
    }

    /// The answer of a host to a question of a restore, as a row or none; nothing for another
    /// question.
    pub(crate) fn of_restore(&self, host: &str, query: &Query) -> Option<bool> {
        let loads = |(at, _): &(String, usize)| at == host;
        let load = &self.desired.restore.as_ref()?.load;
        let all = [
            (&load.held, self.databases_hold()),
            (&load.begun, self.restored.begun && !self.restored.done),
            (&load.done, self.restored.done),
            (&load.clients, self.writes_anywhere()),
            (
                &load.loaders,
                self.restored.loading.as_ref().is_some_and(loads) || self.writes_anywhere(),
            ),
        ];
        all.into_iter()
            .find(|(known, _)| *known == query)
            .map(|(_, row)| row)
    }

    /// The answer to whether some load was begun and is not done.
    pub(crate) fn unfinished(&self, host: &str) -> Fact<Answer> {
        let unfinished = self.restored.begun && !self.restored.done;
        let row = unfinished.then(|| vec![Some("copy".to_owned())]);
        if self.serves_sql(host) {
            Fact::Known(Answer::Rows(row.into_iter().collect()))
        } else {
            Fact::Absent
        }
    }

    /// True if a database has tables, by scripts or by a load.
    fn databases_hold(&self) -> bool {
        let loaded = self.restored.loads > 0 || self.restored.loading.is_some();
        loaded || self.made.iter().any(|m| m.starts_with("script/"))
    }

    /// True if a load was begun and is not done.
    pub fn has_begun_restore(&self) -> bool {
        self.restored.begun && !self.restored.done
    }

    /// True if a service runs somewhere that has a schema.
    pub fn writes_anywhere(&self) -> bool {
        let mut gated = self.gated.iter();
        gated.any(|r| self.machines.keys().any(|h| self.runs(h, r)))
    }

    /// The operator is killed while this command runs: it goes on by itself.
    pub(crate) fn leave_running(&mut self, host: &str, command: &Command) {
        if Self::is_load(command) && self.serves_sql(host) && self.restored.loading.is_none() {
            self.begin_load();
            self.restored.loading = Some((host.to_owned(), self.done + LOADS));
        }
    }

    fn begin_load(&mut self) {
        if self.writes_anywhere() {
            self.break_law("a backup is loaded while services write");
        }
        if self.restored.done {
            self.break_law("a backup is loaded that was loaded already");
        }
    }

    /// A load that nobody waits for comes to its end.
    pub(crate) fn follow_load(&mut self) {
        if self
            .restored
            .loading
            .as_ref()
            .is_some_and(|(_, end)| *end <= self.done)
        {
            self.restored.loading = None;
            self.restored.loads += 1;
        }
        if self.restored.loading.is_some() && self.writes_anywhere() {
            self.break_law("services write while a backup is loaded");
        }
    }

    /// Loads a backup, to its end. One that goes on here is waited for.
    pub(crate) fn load(&mut self, host: &str) -> Result<(), Failure> {
        if !self.serves_sql(host) {
            return Err("the database does not serve here".to_owned());
        }
        match self.restored.loading.take() {
            Some((at, _)) if at == host => {}
            Some((at, _)) => self.break_law(&format!("{host} loads a backup beside {at}")),
            None => self.begin_load(),
        }
        self.restored.loads += 1;
        Ok(())
    }

    /// Statements about a restore.
    pub(crate) fn said_of_restore(&mut self, sql: &Sql) {
        for said in &sql.statements {
            if said.contains("DROP DATABASE") && self.restored.loading.is_some() {
                self.break_law("a database is dropped under its own load");
            }
            if said.starts_with("REPLACE INTO quorate.restored") {
                (self.restored.begun, self.restored.done) = (true, false);
            }
            if said.starts_with("UPDATE quorate.restored") {
                if self.restored.loads == 0 || self.restored.loading.is_some() {
                    self.break_law("a load counts as done that is not");
                }
                self.restored.done = true;
            }
            if said.starts_with("DELETE FROM quorate.restored") {
                (self.restored.begun, self.restored.done) = (false, false);
            }
        }
    }

    /// True if a backup was loaded, and nobody loads it any more.
    pub fn is_loaded(&self) -> bool {
        self.restored.done && self.restored.loads > 0 && self.restored.loading.is_none()
    }
}
