//! The read models of a process, as in `actors::projector`: a page is folded, then written with its checkpoint.
//!
//! Owns: the fence of the checkpoint. Rows are made of the sampled streams alone; the checkpoint is everybody's.
//! Refuses to know: what a row says.

use nightshift_domain::ids::ShardId;
use nightshift_projections::{
    Image, apply, reads,
    table::{RowKey, TableDef},
};

use super::{
    Sabotage,
    node::NodeRef,
    sim::{Act, Sim},
};

/// Events of a shard in one page.
const PAGE: usize = 64;

/// A page that was folded and not yet written.
#[derive(Debug)]
pub struct Page {
    by: NodeRef,
    shard: ShardId,
    from: u64,
    upto: u64,
    upserts: Vec<(&'static TableDef, Image)>,
    deletes: Vec<(&'static TableDef, RowKey)>,
}

impl Sim<'_> {
    /// There are new events.
    pub fn nudge_projector(&mut self, at: NodeRef) {
        let node = &mut self.nodes[at.node];
        if self.settings.project && node.alive && !node.projecting {
            node.projecting = true;
            let soon = self.chance.between(1_000, 50_000);
            self.after_us(soon, Act::Project(at));
        }
    }

    /// Folds the next page of the first shard that has one.
    pub fn project(&mut self, at: NodeRef) {
        let behind = (0..self.settings.shards)
            .map(ShardId)
            .find(|shard| self.db.table(*shard).head() > self.db.checkpoints.get(shard).copied().unwrap_or(0));
        let Some(shard) = behind.filter(|_| !self.db.down) else {
            self.nodes[at.node].projecting = false;
            return;
        };
        let from = self.db.checkpoints.get(&shard).copied().unwrap_or(0);
        let mut rows = std::mem::take(&mut self.world.folder);
        let mut upto = from;
        let most = 1 + usize::try_from(self.chance.below(PAGE as u64)).unwrap_or(0);
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        for written in self.db.table(shard).log.iter().skip(skip).take(most) {
            upto = written.fact.seq;
            if !self.is_sampled(written.fact.stream) {
                continue;
            }
            let recorded = written.place(shard);
            for (table, key) in reads(&written.fact.event, &recorded) {
                if !rows.knows(table, &key) {
                    let place = (table.name, key);
                    let known = self.db.rows.get(&place).cloned();
                    rows.load_image(table, place.1, known);
                }
            }
            apply(&mut rows, &recorded, &written.fact.event);
        }
        let (upserts, deletes) = rows.take_changed();
        self.world.folder = rows;
        self.world.pages.retain(|page| page.by != at);
        self.world.pages.push(Page { by: at, shard, from, upto, upserts, deletes });
        let wait = self.chance.between(1_000, 60_000);
        self.after_us(wait, Act::Projected(at));
        // Rows are written behind a takeover only when one comes between this and the writing.
        let usual = if self.settings.sabotage == Some(Sabotage::UnfencedRows) { 100_000 } else { 1_000 };
        self.takeover_here(at.node, usual);
    }

    /// Writes the page and its checkpoint, if nobody was here before.
    pub fn projected(&mut self, at: NodeRef) {
        self.nodes[at.node].projecting = false;
        let Some(nth) = self.world.pages.iter().position(|page| page.by == at) else { return };
        let page = self.world.pages.swap_remove(nth);
        let checkpoint = self.db.checkpoints.get(&page.shard).copied().unwrap_or(0);
        let unfenced = self.settings.sabotage == Some(Sabotage::UnfencedRows);
        if (checkpoint == page.from || unfenced) && !self.db.down {
            self.audit.checkpoint(page.shard, page.upto, self.now);
            self.db.checkpoints.insert(page.shard, page.upto);
            for (table, image) in page.upserts {
                self.db.rows.insert((table.name, image.key(table)), image);
            }
            for (table, key) in page.deletes {
                self.db.rows.remove(&(table.name, key));
            }
        }
        self.nudge_projector(at);
    }
}
