/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Writing failed.
    #[error("report: {0}")]
    Io(#[from] std::io::Error),
    /// A classification could not be turned into JSON.
    #[error("report: JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A classification could not be turned into CSV.
    #[error("report: CSV: {0}")]
    Csv(#[from] ::csv::Error),
    /// The page could not be rendered.
    #[error("report: HTML: {0}")]
    Html(#[from] askama::Error),
}
