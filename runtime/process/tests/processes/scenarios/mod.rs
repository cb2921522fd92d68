//! What is tried, each in an edge of its own.

mod confined;
mod forked;
mod life;
mod observed;

/// Scenarios by name. Those that begin with `inner::` are started by others.
pub(crate) const ALL: &[(&str, fn())] = &[
    (
        "life::cells_answer_and_are_named",
        life::cells_answer_and_are_named,
    ),
    ("life::a_template_is_copied", life::a_template_is_copied),
    (
        "life::a_copy_outlives_its_template",
        life::a_copy_outlives_its_template,
    ),
    (
        "life::cells_outlive_the_zygote",
        life::cells_outlive_the_zygote,
    ),
    (
        "life::nothing_outlives_the_edge",
        life::nothing_outlives_the_edge,
    ),
    ("inner::edge_to_be_killed", life::edge_to_be_killed),
    (
        "life::an_edge_that_is_gone_is_noticed",
        life::an_edge_that_is_gone_is_noticed,
    ),
    (
        "life::a_zygote_ends_with_its_socket",
        life::a_zygote_ends_with_its_socket,
    ),
    (
        "life::a_zygote_is_not_for_the_shell",
        life::a_zygote_is_not_for_the_shell,
    ),
    (
        "forked::nothing_is_inherited_but_what_was_passed",
        forked::nothing_is_inherited_but_what_was_passed,
    ),
    (
        "forked::signals_are_as_at_the_start",
        forked::signals_are_as_at_the_start,
    ),
    (
        "forked::kept_mappings_are_copied",
        forked::kept_mappings_are_copied,
    ),
    ("forked::threads_are_refused", forked::threads_are_refused),
    (
        "forked::panics_and_crashes_end_one_process",
        forked::panics_and_crashes_end_one_process,
    ),
    ("forked::garbage_is_answered", forked::garbage_is_answered),
    (
        "forked::a_thousand_forks_leave_nothing",
        forked::a_thousand_forks_leave_nothing,
    ),
    (
        "forked::a_full_cgroup_is_told",
        forked::a_full_cgroup_is_told,
    ),
    ("forked::a_full_user_is_told", forked::a_full_user_is_told),
    ("forked::lies_are_noticed", forked::lies_are_noticed),
    ("confined::libraries_work", confined::libraries_work),
    (
        "confined::attacks_from_a_cell",
        confined::attacks_from_a_cell,
    ),
    (
        "confined::attacks_from_a_copy",
        confined::attacks_from_a_copy,
    ),
    (
        "confined::attacks_from_a_template",
        confined::attacks_from_a_template,
    ),
    (
        "confined::attacks_without_namespaces",
        confined::attacks_without_namespaces,
    ),
    (
        "confined::files_are_out_of_reach_without_the_filter",
        confined::files_are_out_of_reach_without_the_filter,
    ),
    ("confined::memory_is_bounded", confined::memory_is_bounded),
    (
        "confined::required_layers_are_named",
        confined::required_layers_are_named,
    ),
    ("confined::off_is_off", confined::off_is_off),
    ("observed::cpu_time", observed::cpu_time),
    ("observed::memory", observed::memory),
];

/// Scenarios that are played by nobody, too, if root plays them.
pub(crate) const FOR_ALL: &[&str] = &[
    "life::a_template_is_copied",
    "life::nothing_outlives_the_edge",
    "forked::a_thousand_forks_leave_nothing",
    "forked::a_full_user_is_told",
    "confined::libraries_work",
    "confined::attacks_from_a_cell",
    "confined::attacks_from_a_copy",
    "confined::attacks_from_a_template",
    "confined::required_layers_are_named",
    "observed::cpu_time",
    "observed::memory",
];

/// Says that something cannot be tried here. The harness passes it on.
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}
