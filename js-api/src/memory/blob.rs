//! `Blob` data, which deno_web keeps outside V8's heap, counted as memory of the isolate.
//!
//! V8 is told of it, so that it collects garbage in time, and whoever watches the isolate's
//! memory finds it among its external memory.

use std::cell::Cell;
use std::sync::Arc;

use async_trait::async_trait;
use deno_core::JsBuffer;
use deno_core::OpState;
use deno_core::op2;
use deno_core::v8;
use deno_web::BlobPart;
use deno_web::BlobStoreTrait;
use uuid::Uuid;

thread_local! {
    /// Bytes of the parts of this thread's isolate.
    static HELD: Cell<i64> = const { Cell::new(0) };
    /// How many of them V8 has been told of.
    static TOLD: Cell<i64> = const { Cell::new(0) };
}

/// Data of a blob. Slices share it, so it is counted until the last of them is gone.
#[derive(Debug)]
struct Part(Vec<u8>);

impl Part {
    fn new(bytes: Vec<u8>) -> Self {
        HELD.set(HELD.get() + length(&bytes));
        Self(bytes)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        HELD.set(HELD.get() - length(&self.0));
    }
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

#[async_trait]
impl BlobPart for Part {
    async fn read<'a>(&'a self) -> &'a [u8] {
        &self.0
    }

    fn size(&self) -> usize {
        self.0.len()
    }
}

/// In the place of deno_web's.
#[op2]
pub(crate) fn op_blob_create_part<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[buffer] data: JsBuffer,
) -> Uuid {
    let part = Arc::new(Part::new(data.to_vec()));
    let id = state.borrow::<Arc<dyn BlobStoreTrait>>().insert_part(part);
    tell(scope);
    id
}

/// In the place of deno_web's.
#[op2]
pub(crate) fn op_blob_remove_part<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[scoped] id: Uuid,
) {
    drop(state.borrow::<Arc<dyn BlobStoreTrait>>().remove_part(&id));
    tell(scope);
}

/// Tells V8 what has changed.
fn tell(isolate: &mut v8::Isolate) {
    let held = HELD.get();
    let change = held - TOLD.replace(held);
    if change != 0 {
        isolate.adjust_amount_of_external_allocated_memory(change);
    }
}
