//! Sources and what was observed of them.

table! {
    /// Sources that were looked at, one row each.
    SYNC_REGISTRY = sync_registry key(source_id) {
        /// Identity, derived from user, platform and resource.
        source_id: Uuid,
        /// Whose it is.
        user_id: Text,
        /// `folder`, `git`, `feed` or `description`.
        platform: Text,
        /// Canonical name of what is observed.
        resource_id: Text,
        /// Short name for people.
        resource_name: Text,
        /// When it was last looked at with success.
        last_synced_at: Time | null,
        /// When it was last looked at, with success or not.
        last_checked_at: Time | null,
        /// Where the next look starts, in the source's own terms.
        platform_cursor: Json,
        /// Items known and not gone or expired.
        item_count: Int,
        /// Newest instant the source itself gave.
        source_latest_at: Time | null,
        /// Since when looks fail; null when the last one did not.
        failing_since: Time | null,
        /// Why the last look failed; null when it did not.
        last_error: Text | null,
        /// Parts that the last successful look could not read, and why.
        omitted: Json,
    }
}

table! {
    /// Items of sources: files, commits, feed entries. One row for each item that was ever seen.
    PLATFORM_ITEMS = platform_items key(source_id, item_id) {
        /// The source.
        source_id: Uuid,
        /// Stable within the source: relative path, commit hash, entry id.
        item_id: Text,
        /// SHA-256 of its newest text.
        content_hash: Text,
        /// Version of the source's stream at which that text was seen.
        stream_version: Int,
        /// When it was seen to be gone; null while it is there.
        gone_at: Time | null,
        /// When its newest text expired and was dropped from `platform_content`; null while it is kept.
        expired_at: Time | null,
    }
}

table! {
    /// Texts of items, by digest. People read them through the view `platform_content`, which adds what retains them.
    PLATFORM_CONTENT_ITEMS = platform_content_items key(source_id, item_id, content_hash) {
        /// The source.
        source_id: Uuid,
        /// The item.
        item_id: Text,
        /// SHA-256 of the text.
        content_hash: Text,
        /// Whose it is.
        user_id: Text,
        /// `folder`, `git`, `feed` or `description`.
        platform: Text,
        /// Canonical name of the source.
        resource_id: Text,
        /// Short name of the source.
        resource_name: Text,
        /// Title for people.
        title: Text,
        /// Where the original is.
        link: Text | null,
        /// Who wrote it, when the source says so.
        author: Text | null,
        /// The text; null when it is larger than 32 KiB: then it is in the content store under `content_hash`.
        content: Text | null,
        /// Its length in bytes.
        content_bytes: Int,
        /// When the source says it was made or changed.
        source_timestamp: Time | null,
        /// When it was observed.
        fetched_at: Time,
        /// When it expires unless a document retains it.
        expires_at: Time,
        /// Further facts, e.g. `files_changed` of a commit.
        metadata: Json,
        /// Version of the source's stream at which this text was first seen.
        first_version: Int,
        /// Version of the source's stream at which it was last seen as news.
        stream_version: Int,
    }
}

table! {
    /// Which documents keep which texts: a range of versions of the source's stream for each document.
    CONTENT_RETENTIONS = content_retentions key(source_id, retained_version) {
        /// The source.
        source_id: Uuid,
        /// Version of the source's stream that says so.
        retained_version: Int,
        /// Texts seen after this version,
        from_version: Int,
        /// up to this one.
        upto_version: Int,
        /// Always `deliverable_execution` so far.
        reason: Text,
        /// The version of a deliverable that keeps them.
        reference: Uuid,
        /// Since when.
        retained_at: Time,
    }
}
