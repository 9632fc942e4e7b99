//! The cause of a lost request: why no reply arrived.

use std::fmt;
use std::sync::Arc;

use super::Loss;

/// Why a request got no response, with the transport's own error as source.
///
/// The transport's error must not contain a query or a body: they hold codes and secrets.
#[derive(Clone)]
pub struct Cause {
    delivery: Delivery,
    loss: Loss,
    source: Arc<dyn std::error::Error + Send + Sync>,
}

/// A reason as text. `Debug` prints it unescaped, because the standard library's escaping needs large tables.
struct UnescapedText(Box<str>);

impl fmt::Debug for UnescapedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UnescapedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UnescapedText {}

/// Whether the server may have received the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// The server certainly did not receive the request, so it is safe to send it again.
    Unsent,
    /// The server may have processed the request; only the reply is lost.
    Unknown,
    /// A reply arrived that was larger than the limit of 1 MiB.
    TooLarge,
}

impl Cause {
    /// A cause for a request that was certainly never sent: no connection, no address, a failed signature.
    pub fn unsent(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Delivery::Unsent, Loss::Unsent, source.into())
    }

    /// A cause for a request that may have arrived: a timeout, a connection lost while waiting.
    pub fn unknown(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Delivery::Unknown, Loss::Unknown, source.into())
    }

    /// A cause for a reply that was larger than the limit and was dropped.
    pub fn too_large() -> Self {
        let reason = UnescapedText("the reply is larger than 1 MiB".into());
        Self::new(Delivery::TooLarge, Loss::Unknown, Box::new(reason))
    }

    /// A cause for a request that was certainly never sent, with this text as the reason.
    pub fn unsent_as(text: &str) -> Self {
        Self::new(
            Delivery::Unsent,
            Loss::Unsent,
            Box::new(UnescapedText(text.into())),
        )
    }

    /// A cause for a request that may have arrived, with this text as the reason.
    pub fn unknown_as(text: &str) -> Self {
        Self::new(
            Delivery::Unknown,
            Loss::Unknown,
            Box::new(UnescapedText(text.into())),
        )
    }

    fn new(
        delivery: Delivery,
        loss: Loss,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self {
            delivery,
            loss,
            source: Arc::from(source),
        }
    }

    /// Names what went wrong, if the transport knows: it determines the error's code and advice.
    #[must_use]
    pub const fn because(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// Whether the server may have received the request.
    pub const fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// What went wrong.
    pub const fn loss(&self) -> Loss {
        self.loss
    }

    /// The text of the innermost error, which is the most specific.
    pub(super) fn root_message(&self) -> String {
        let mut root: &dyn std::error::Error = &*self.source;
        while let Some(source) = root.source() {
            root = source;
        }
        root.to_string()
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cause")
            .field("delivery", &self.delivery)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}
