//! `Blob` data, which deno_web keeps outside V8's heap, counted as memory of the isolate.

use std::sync::Arc;

use async_trait::async_trait;
use deno_core::JsBuffer;
use deno_core::OpState;
use deno_core::op2;
use deno_core::v8;
use deno_web::BlobPart;
use deno_web::BlobStoreTrait;
use uuid::Uuid;

use super::external;

/// Data of a blob. Slices share it, so it is counted until the last of them is gone.
#[derive(Debug)]
struct Part(Vec<u8>);

impl Part {
    fn new(bytes: Vec<u8>) -> Self {
        external::hold(bytes.len());
        Self(bytes)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        external::let_go(self.0.len());
    }
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
    external::tell(scope);
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
    external::tell(scope);
}
