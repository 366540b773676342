//! Results as records: what their keys, values and headers hold.

use std::ops::ControlFlow;

use tidemill_aggregates::Value;
use tidemill_layout::{HeaderPart, Headers, HeadersWriter, Part, WINDOW_END, WINDOW_START};

use super::{Failed, RESULTS};
use crate::{
    aggregate::{Change, KeyFormat, Spec, Windows},
    operator::{Out, Sent},
    topology::Format,
};

/// Writes results as records.
#[derive(Debug)]
pub(super) struct Writer {
    format: Format,
    /// Of JSON: the name of each column, as it stands in an object, with the colon.
    names: Vec<Vec<u8>>,
    key: Vec<u8>,
    value: Vec<u8>,
    headers: HeadersWriter,
}

impl Writer {
    pub(super) fn new(spec: &Spec, format: Format) -> Writer {
        let name = |name: &str| {
            let mut text = serde_json::to_vec(name).expect("text can be written as JSON");
            text.push(b':');
            text
        };
        let names = spec.compute.columns().map(|(column, _)| name(column)).collect();
        let headers = HeadersWriter::new();
        Writer { format, names, key: Vec::new(), value: Vec::new(), headers }
    }

    pub(super) fn send(
        &mut self,
        spec: &Spec,
        change: &Change,
        closing: bool,
        out: &mut Out<'_>,
    ) -> Result<ControlFlow<()>, Failed> {
        self.value.clear();
        if let Some(row) = &change.row {
            self.write(&spec.compute.result(row))?;
        }
        self.headers.clear();
        let is_windowed = spec.windows.is_some();
        let key = if is_windowed && spec.key_format == KeyFormat::KafkaStreams {
            self.key.clear();
            self.key.extend_from_slice(&change.key);
            if matches!(spec.windows, Some(Windows::Session { .. })) {
                self.key.extend_from_slice(&change.end.millis().to_be_bytes());
            }
            self.key.extend_from_slice(&change.start.millis().to_be_bytes());
            &self.key
        } else {
            if is_windowed {
                for (name, time) in [(WINDOW_START, change.start), (WINDOW_END, change.end)] {
                    self.headers.push(name, Some(time.millis().to_string().as_bytes()));
                }
            }
            &change.key
        };
        let headers = if is_windowed { self.headers.headers() } else { Headers::default() };
        Ok(out(Sent {
            output: RESULTS,
            timestamp: change.at,
            key: Part::Bytes(key),
            value: if change.row.is_some() { Part::Bytes(&self.value) } else { Part::Null },
            headers: HeaderPart::Replace(headers),
            closing,
        }))
    }

    /// Writes columns.
    fn write(&mut self, columns: &[Value]) -> Result<(), Failed> {
        if self.format != Format::Json {
            let [column] = columns else {
                return Err(Failed::Record("several columns are written as JSON only".to_owned()));
            };
            return self.format.encode(column, &mut self.value).map_err(Failed::Record);
        }
        self.value.push(b'{');
        for (index, (name, column)) in self.names.iter().zip(columns).enumerate() {
            if index > 0 {
                self.value.push(b',');
            }
            self.value.extend_from_slice(name);
            serde_json::to_writer(&mut self.value, column)
                .map_err(|error| Failed::Record(error.to_string()))?;
        }
        self.value.push(b'}');
        Ok(())
    }
}
