//! Stories: nodes that do what they are told, to show single promises.

use std::cell::RefCell;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use syncline_testkit::cluster::Context;

use super::world::World;

type Told = Box<dyn Fn(Stage) -> LocalBoxFuture<'static, ()>>;

/// What nodes are told to do. It begins with the first life of the first node.
pub(crate) struct Story {
    told: Told,
    is_over: Rc<RefCell<bool>>,
}

/// What a story has of the world.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) world: Rc<World>,
    pub(crate) context: Context,
}

impl Story {
    pub(crate) fn begin(&mut self, world: &Rc<World>, context: &Context) -> LocalBoxFuture<'static, ()> {
        let telling = (self.told)(Stage { world: Rc::clone(world), context: context.clone() });
        let is_over = Rc::clone(&self.is_over);
        async move {
            telling.await;
            *is_over.borrow_mut() = true;
        }
        .boxed_local()
    }

    pub(crate) fn is_over(&self) -> Result<(), String> {
        if *self.is_over.borrow() { Ok(()) } else { Err("the story is not over".into()) }
    }
}
