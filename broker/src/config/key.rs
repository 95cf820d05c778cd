//! The shape of a row in the key tables.

/// Type of a value, numbered as in `DescribeConfigs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean = 1,
    /// Text, trimmed.
    String = 2,
    /// 32-bit number.
    Int = 3,
    /// 16-bit number.
    Short = 4,
    /// 64-bit number.
    Long = 5,
    /// Floating point number.
    Double = 6,
    /// Comma-separated texts.
    List = 7,
    /// Name of a Java class; never loaded.
    Class = 8,
    /// Text that is never shown.
    Password = 9,
}

/// Whether a key changes what milena does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// milena acts on it.
    Honoured,
    /// Checked and described, otherwise ignored.
    AcceptedNoEffect,
}

/// Whether a key may change while the broker runs, and for whom (Kafka's `DynamicBrokerConfig`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dynamic {
    /// Only by a restart.
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker, or for all at once.
    ClusterWide,
}

/// Values that a key admits beyond its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Valid {
    /// Everything of the type.
    Any,
    /// A number from here on.
    AtLeast(i64),
    /// A number in this closed range.
    Between(i64, i64),
    /// A number in a closed range, or the one that follows it.
    BetweenOr(i64, i64, i64),
    /// A floating point number in this closed range.
    Ratio(f64, f64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in any case.
    OneOfIgnoreCase(&'static [&'static str]),
    /// A list of some of these texts.
    EachOf(&'static [&'static str]),
    /// Text that is not empty.
    NonEmpty,
    /// `id@host:port` entries.
    Voters,
    /// `host:port` entries.
    Servers,
    /// `*`, or `partition:broker` entries.
    ThrottledReplicas,
    /// `earliest`, `latest`, or `by_duration:` and an ISO 8601 duration that is not negative.
    OffsetReset,
}

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in a properties file.
    pub name: &'static str,
    /// Type of its value.
    pub kind: Kind,
    /// Value where nothing is set; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// Values it admits.
    pub valid: Valid,
    /// Whether it changes anything.
    pub effect: Effect,
    /// Whether and for whom it may change at run time. Topic keys are all changeable and do not use this.
    pub dynamic: Dynamic,
    /// Internal keys are described only where somebody set them.
    pub internal: bool,
    /// One sentence: meaning, unit, range.
    pub doc: &'static str,
}

impl Key {
    /// Whether the value must never be shown.
    pub const fn sensitive(&self) -> bool {
        matches!(self.kind, Kind::Password)
    }

    pub(super) const fn valid(mut self, valid: Valid) -> Key {
        self.valid = valid;
        self
    }

    pub(super) const fn at_least(self, min: i64) -> Key {
        self.valid(Valid::AtLeast(min))
    }

    pub(super) const fn honoured(mut self) -> Key {
        self.effect = Effect::Honoured;
        self
    }

    pub(super) const fn per_broker(mut self) -> Key {
        self.dynamic = Dynamic::PerBroker;
        self
    }

    pub(super) const fn cluster_wide(mut self) -> Key {
        self.dynamic = Dynamic::ClusterWide;
        self
    }

    pub(super) const fn internal(mut self) -> Key {
        self.internal = true;
        self
    }

    pub(super) const fn doc(mut self, doc: &'static str) -> Key {
        self.doc = doc;
        self
    }
}

const fn key(name: &'static str, kind: Kind, default: Option<&'static str>) -> Key {
    Key {
        name,
        kind,
        default,
        valid: Valid::Any,
        effect: Effect::AcceptedNoEffect,
        dynamic: Dynamic::ReadOnly,
        internal: false,
        doc: "",
    }
}

macro_rules! constructors {
    ($($function:ident $kind:ident),*) => {$(
        pub(super) const fn $function(name: &'static str, default: Option<&'static str>) -> Key {
            key(name, Kind::$kind, default)
        }
    )*};
}

constructors!(
    boolean Boolean, string String, int Int, short Short, long Long, double Double, list List, class Class,
    password Password
);
