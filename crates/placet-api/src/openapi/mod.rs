//! The description of the API (OpenAPI 3.1, <https://spec.openapis.org/oas/v3.1.1>): made from the table of routes, from what
//! handlers take, and from the types that are read and written.
//!
//! `routes.rs` makes the router and the document of the same table, so that neither knows of what the other does not.

mod document;
mod operation;
mod page;

use std::sync::LazyLock;

use axum::Router;
use axum::handler::Handler;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Html;
use axum::routing::MethodRouter;
use serde_json::Value;

use crate::resources::front;
use crate::routes;

pub(crate) use operation::{About, Answer, Content, Inputs, LOCATION, Takes};

/// Paths, what answers there, and what is said of it.
pub(crate) struct Paths<S> {
    router: Router<S>,
    parts: Vec<Part>,
}

/// Paths that belong together.
struct Part {
    name: &'static str,
    details: &'static str,
    operations: Vec<Operation>,
}

/// What happens when a path is called.
struct Operation {
    path: &'static str,
    method: &'static str,
    about: &'static About,
    takes: fn(&mut Inputs<'_>),
}

impl<S: Clone + Send + Sync + 'static> Paths<S> {
    pub(crate) fn new() -> Paths<S> {
        Paths { router: Router::new(), parts: Vec::new() }
    }

    /// What follows belongs together.
    pub(crate) fn part(mut self, name: &'static str, details: &'static str) -> Paths<S> {
        self.parts.push(Part { name, details, operations: Vec::new() });
        self
    }

    /// What answers at a path.
    pub(crate) fn at(self, path: &'static str, methods: Methods<S>) -> Paths<S> {
        let Paths { router, mut parts } = self;
        let part = parts.last_mut().expect("the table begins with a part");
        let operations = methods.operations.into_iter();
        part.operations.extend(operations.map(|(method, about, takes)| Operation { path, method, about, takes }));
        Paths { router: router.route(path, methods.router), parts }
    }

    pub(crate) fn router(self) -> Router<S> {
        self.router
    }

    /// These, and others that work with something else.
    pub(crate) fn with<T>(mut self, others: Paths<T>) -> Paths<S> {
        self.parts.extend(others.parts);
        self
    }

    pub(crate) fn document(self) -> Value {
        document::of(self.parts)
    }
}

/// By which method, what is said of it, and what it takes.
type Called = (&'static str, &'static About, fn(&mut Inputs<'_>));

/// What answers at a path, by method.
pub(crate) struct Methods<S> {
    router: MethodRouter<S>,
    operations: Vec<Called>,
}

macro_rules! methods {
    ($($method:ident)*) => {
        impl<S: Clone + Send + Sync + 'static> Methods<S> {
            $(pub(crate) fn $method<H: Handler<T, S>, T: Takes + 'static>(
                mut self,
                handler: H,
                about: &'static About,
            ) -> Methods<S> {
                self.operations.push((stringify!($method), about, T::describe));
                Methods { router: self.router.$method(handler), ..self }
            })*
        }

        $(pub(crate) fn $method<S: Clone + Send + Sync + 'static, H: Handler<T, S>, T: Takes + 'static>(
            handler: H,
            about: &'static About,
        ) -> Methods<S> {
            Methods { router: MethodRouter::new(), operations: Vec::new() }.$method(handler, about)
        })*
    };
}

methods! { get post }

/// Made when somebody first asks: a server starts without it.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| routes::paths().with(routes::for_operators()).document());

static TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());

static HTML: LazyLock<String> = LazyLock::new(|| page::of(&DOCUMENT));

pub(crate) const SHOW: About = About {
    id: "getOpenApi",
    summary: "This description, for programs",
    details: "OpenAPI 3.1.",
    answers: &[Answer::new(200, "The document", &[Content::json::<Value>()])],
    ..About::NOTHING
};

/// `GET /openapi.json`.
pub(crate) async fn show() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}

pub(crate) const PAGE: About = About {
    id: "getDocs",
    summary: "This description, for people",
    answers: &[Answer::new(200, "A page", &[Content::text("text/html")])],
    ..About::NOTHING
};

/// `GET /docs`.
pub(crate) async fn page() -> ([(HeaderName, HeaderValue); 1], Html<&'static str>) {
    ([(header::CONTENT_SECURITY_POLICY, front::POLICY)], Html(HTML.as_str()))
}

#[cfg(test)]
mod tests;
