//! What changes in files is served, what is wrong in them is not, and no client notices either.

mod assets;
mod files;
mod front;
mod many;
mod node;
mod site;

use std::sync::Arc;

use libtest_mimic::Trial;

use crate::harness::World;

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let trial =
        |name: &str, body: fn(Arc<World>) -> Boxed| world.trial(format!("reload::{name}"), body);
    vec![
        trial("an_edit_under_load", |_| Box::pin(files::edit())),
        trial(
            "a_bad_file_changes_nothing",
            |_| Box::pin(files::bad_file()),
        ),
        trial("a_script_that_does_not_compile", |_| {
            Box::pin(files::bad_script())
        }),
        trial(
            "files_that_go_and_come_back",
            |_| Box::pin(files::missing()),
        ),
        trial("a_file_that_is_half_written", |_| {
            Box::pin(files::half_written())
        }),
        trial("files_replaced_by_rename", |_| Box::pin(files::renamed())),
        trial("links_moved_as_kubernetes_does", |_| {
            Box::pin(files::links())
        }),
        trial("a_link_to_a_module", |_| Box::pin(files::linked_module())),
        trial("routes_and_limits", |_| Box::pin(node::routes())),
        trial("what_the_whole_node_is_told", |world| {
            Box::pin(node::node_wide(world))
        }),
        trial(
            "requests_in_flight_finish_on_what_they_began_with",
            |world| Box::pin(node::in_flight(world)),
        ),
        trial("a_function_that_is_removed_leaves_nothing", |_| {
            Box::pin(node::removed())
        }),
        trial("proxies", |_| Box::pin(front::proxies())),
        trial("a_listener_that_moves", |_| Box::pin(node::moved())),
        trial("an_address_that_cannot_be_had", |_| Box::pin(node::taken())),
        trial("by_signal_alone", |_| Box::pin(node::by_signal())),
        trial("assets_that_come_change_and_go", |_| {
            Box::pin(assets::assets())
        }),
        trial("assets_that_cannot_be_served", |_| {
            Box::pin(assets::bad_assets())
        }),
        trial("many_under_load", |_| Box::pin(many::many())),
    ]
}

type Boxed = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>>>>;
