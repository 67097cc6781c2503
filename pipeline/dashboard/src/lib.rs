//! The live dashboard: reads the database while a sweep writes it, and serves it to a browser.
//!
//! A request passes the `guard`, and is answered by one of the `pages` (HTML that works without scripts) or by `curves` (JSON). Both
//! look at an `overview` of all runs, which is read again when the file has changed; curves are `decimate`d as they are read, and kept.
//! It knows neither candle, nor SQL, nor polars: what needs those comes in from outside, see [`Diagnose`].

mod assets;
mod cache;
mod curves;
mod decimate;
mod guard;
mod overview;
mod pages;
mod query;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tracker::Reader;
use tracker::read::{RunRecord, StudyRecord};

pub use guard::{Access, new_token};

use cache::Curves;
use overview::{Load, Overview, Overviews};
use query::Query;

/// What the curves of a run say, and the figures that say so: what needs more than the tracker.
pub type Diagnose = dyn Fn(&Reader, &StudyRecord, &RunRecord) -> Option<(String, String)> + Send + Sync;

/// What every request sees.
pub(crate) struct App {
    db: PathBuf,
    diagnose: Box<Diagnose>,
    overviews: Overviews,
    curves: Mutex<Curves>,
    load: Mutex<Load>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Tracker(#[from] tracker::Error),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Request(String),
}

impl App {
    /// All runs, as the file has them now.
    fn overview(&self) -> Result<Arc<Overview>, Error> {
        self.overviews.get(&self.db)
    }

    fn reader(&self) -> Result<Reader, Error> {
        Ok(Reader::open(&self.db)?)
    }

    fn load(&self) -> Load {
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        load.refresh();
        load.clone()
    }
}

/// The whole server, for one database.
pub fn router(db: &Path, access: Access, diagnose: Box<Diagnose>) -> Router {
    let app = Arc::new(App {
        db: db.to_owned(),
        diagnose,
        overviews: Overviews::default(),
        curves: Mutex::new(Curves::default()),
        load: Mutex::new(Load::default()),
    });
    Router::new()
        .route("/", get(page(pages::index::page)))
        .route("/runs", get(page(pages::runs::page)))
        .route("/study/{name}", get(page(pages::study::page)))
        .route("/run/{id}", get(page(pages::run::page)))
        .route("/picture/{id}/{place}", get(page(pages::run::picture)))
        .route("/curves", get(page(curves::answer)))
        .route("/assets/{name}", get(assets::answer))
        .fallback(|| async { pages::problem(&Error::NotFound("there is no such page".into())) })
        .layer(middleware::from_fn_with_state(Arc::new(access), guard::guard))
        .with_state(app)
}

/// What stands in the place of `{…}` of a path, in order.
type Parts = Vec<String>;
type Answer = fn(&App, &Parts, &Query) -> Result<Response, Error>;

/// A handler that reads files: off the threads that talk to browsers.
fn page(answer: Answer) -> impl Fn(State<Arc<App>>, Request) -> std::pin::Pin<Box<dyn Future<Output = Response> + Send>> + Clone {
    move |State(app), request| {
        Box::pin(async move {
            let parts = request.uri().path().split('/').skip(2).map(query::decoded).collect();
            let query = Query::parse(request.uri().query().unwrap_or_default());
            let before = request.headers().get("if-none-match").cloned();
            let answered = tokio::task::spawn_blocking(move || answer(&app, &parts, &query)).await;
            let response = match answered {
                Ok(Ok(response)) => response,
                Ok(Err(e)) => pages::problem(&e),
                Err(_) => pages::problem(&Error::Request("this page could not be made; the log of the server says why".into())),
            };
            if before.is_some() && before.as_ref() == response.headers().get("etag") {
                return StatusCode::NOT_MODIFIED.into_response();
            }
            response
        })
    }
}

/// Serves until the process ends. `listening` is told the address, once it is one.
///
/// # Errors
/// When the address can't be had.
pub fn serve(router: Router, address: SocketAddr, listening: impl FnOnce(SocketAddr)) -> std::io::Result<()> {
    // Talking to browsers takes one thread; reading files takes a few more.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(4).enable_io().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        listening(listener.local_addr()?);
        axum::serve(listener, router).await
    })
}
