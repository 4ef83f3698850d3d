/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Writing failed. A reader that went away is of kind [`std::io::ErrorKind::BrokenPipe`] in every format.
    #[error("report: {0}")]
    Io(#[from] std::io::Error),
    /// A classification could not be turned into JSON.
    #[error("report: JSON: {0}")]
    Json(serde_json::Error),
    /// A classification could not be turned into CSV.
    #[error("report: CSV: {0}")]
    Csv(String),
    /// The page could not be rendered.
    #[error("report: HTML: {0}")]
    Html(#[from] askama::Error),
    /// A diagram could not be drawn.
    #[error("report: diagram: {0}")]
    Diagram(String),
    /// The video could not be read a second time, for its pictures.
    #[error("report: {0}")]
    Video(#[from] crate::video::VideoError),
    /// A picture could not be encoded.
    #[error("report: JPEG: {0}")]
    Picture(#[from] image::ImageError),
}

impl From<serde_json::Error> for ReportError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_io() { Self::Io(error.into()) } else { Self::Json(error) }
    }
}

impl From<::csv::Error> for ReportError {
    fn from(error: ::csv::Error) -> Self {
        let message = error.to_string();
        match error.into_kind() {
            ::csv::ErrorKind::Io(error) => Self::Io(error),
            _ => Self::Csv(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, csv, fixture, json, jsonl, table};
    use std::io::{Error, ErrorKind, Write};

    /// A pipe whose reader is gone.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(Error::from(ErrorKind::BrokenPipe))
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broken_pipe_is_told_apart_in_every_format() {
        let outcomes = vec![Outcome::Done(Box::new(fixture::classification())); 200];
        let options = table::TableOptions { width: 80, colour: false, top: 10 };
        for result in [
            json::write(Broken, &outcomes),
            jsonl::write(Broken, &outcomes[0]),
            csv::write(Broken, &outcomes),
            table::write(Broken, &outcomes, options),
        ] {
            assert!(matches!(result, Err(ReportError::Io(e)) if e.kind() == ErrorKind::BrokenPipe));
        }
    }
}
