//! What every engine has to do, once, for all of them: each is a function here, and a test in each crate that has an
//! engine and includes this by its path. The crate says in `crate::engines` what engines there are, and by what macro
//! a function becomes a test.

pub(crate) mod concurrency;
pub(crate) mod export;
pub(crate) mod fixtures;
pub(crate) mod limits;
pub(crate) mod model;
pub(crate) mod naive;
pub(crate) mod unknown;
pub(crate) mod watch;

/// Hands the list of all of them to a macro.
macro_rules! suite {
    ($tests:ident) => {
        $tests! {
            concurrency {
                no_update_is_lost
                readers_see_transactions_whole
                own_writes_are_read
                watch_sees_every_commit_once
            }
            export {
                exports_are_of_one_revision
                exports_of_nothing_are_empty
                exports_are_what_was_committed
                exports_hold_while_others_write
                stores_of_an_export_are_the_same_store
                exports_of_long_values_come_in_pages
            }
            limits {
                keys_have_a_length
                keys_of_op_ids_are_reserved
                values_have_a_length
                transactions_have_a_length
                one_transaction_changes_a_key_once
                pages_have_a_length
                pages_have_a_number_of_rows
            }
            model {
                empty_store_holds_nothing
                entries_count_their_commits
                every_commit_has_a_revision
                checks_hold_or_nothing_happens
                checks_see_the_state_before_the_changes
                op_id_commits_once
                conflict_leaves_the_op_id_free
                range_takes_a_prefix_in_order
                prefix_of_largest_octets_has_an_end
                pages_meet_without_gap_or_repetition
                pages_of_a_past_that_much_has_changed_since
                after_is_exclusive_and_may_lie_anywhere
                more_is_exact
                snapshots_see_their_revision
                revisions_ahead_are_refused
                cached_reads_are_at_least_as_new
                futures_move_between_threads
            }
            naive {
                every_engine_is_the_naive_model
            }
            unknown {
                settling_twice_answers_alike
                commit_and_settle_at_once_agree
            }
            watch {
                watch_gives_each_commit_whole
                watch_begins_after_its_revision
                watch_keeps_to_its_prefix
                watch_reaches_the_fence
                watch_waits_for_what_comes
                watch_ends_with_the_store
                watch_from_ahead_is_refused
                many_watches_share_a_store
            }
        }
    };
}
pub(crate) use suite;
