//! What is tried.

mod bodies;
mod ends;
mod requests;
mod starts;

pub(crate) const ALL: &[(&str, fn())] = &[
    ("hello_from_many_copies", starts::hello_from_many_copies),
    (
        "a_cell_without_a_template",
        starts::a_cell_without_a_template,
    ),
    ("requests_ahead", requests::requests_ahead),
    ("many_ahead", requests::many_ahead),
    (
        "cells_end_with_their_socket",
        ends::cells_end_with_their_socket,
    ),
    ("over", requests::over),
    ("what_was_said_is_not_lost", ends::what_was_said_is_not_lost),
    ("bodies_stream_in", bodies::bodies_stream_in),
    ("bodies_stream_out", bodies::bodies_stream_out),
    ("bodies_pass", bodies::bodies_pass),
    ("cancel", bodies::cancel),
    ("fetches", requests::fetches),
    ("logs", requests::logs),
    ("exceptions", requests::exceptions),
    ("copies_differ", starts::copies_differ),
    ("what_cannot_be_copied", starts::what_cannot_be_copied),
    (
        "copies_do_all_that_cells_do",
        starts::copies_do_all_that_cells_do,
    ),
    ("out_of_memory", ends::out_of_memory),
    ("what_does_not_start", starts::what_does_not_start),
    ("code_is_given_away", starts::code_is_given_away),
    ("several_at_once", requests::several_at_once),
    (
        "deep_recursion_is_an_exception",
        ends::deep_recursion_is_an_exception,
    ),
    (
        "one_liners_that_ended_nodes",
        ends::one_liners_that_ended_nodes,
    ),
];
