//! Tables about the queue: limits that are set, and what is paused.

table! {
    /// Limits that were set while the program ran; they count instead of those of the file that `queue.limits_file` names,
    /// which are no rows here. What a bucket holds at an instant is known to the daemon alone: `nightshift limit list`.
    RATE_LIMITS = rate_limits key(rl_key) {
        /// What it is about: `concurrency`, `queue:<name>`, `key:<key>`, `user:<user>:agent:<agent>` or
        /// `global:agent:<agent>`.
        rl_key: Text,
        /// `places` or `rate`.
        kind: Text,
        /// The most at once: steps, or tokens of a bucket.
        capacity: Real,
        /// Tokens that come back each second; null for places.
        refill_rate: Real | null,
        /// Who set it.
        set_by: Text,
        /// Why.
        note: Text,
        /// Since when it counts.
        set_at: Time,
    }
}

table! {
    /// Queues that are paused: none of their steps is given a place.
    QUEUE_PAUSES = queue_pauses key(queue) {
        /// Its name; empty: all queues.
        queue: Text,
        /// Who paused it.
        paused_by: Text,
        /// Why.
        note: Text,
        /// Since when.
        paused_at: Time,
    }
}
