//! What is known of one limit, and the macro that makes everything else from the rows.

/// One limit: a row of the [table](super::table).
#[derive(Clone, Copy, Debug)]
pub struct Limit<T> {
    /// The key in `[limits]`, in `[limits.max]` and in a function's `limits`.
    pub key: &'static str,
    /// What it bounds, in words for the people who set it.
    pub doc: &'static str,
    /// What a client, or the function, sees of a breach, in Markdown.
    pub breach: &'static str,
    /// What a function gets when nobody says otherwise.
    pub default: T,
    /// The least that makes sense.
    pub floor: T,
    /// Why not less.
    pub floor_reason: &'static str,
    /// The most that an operator may allow.
    pub ceiling: T,
    /// Why not more.
    pub ceiling_reason: &'static str,
}

/// Takes the table, and makes of it:
///
/// - `Limits`, a struct with a field for each row, and its constants `DEFAULT` and `MAX`;
/// - `Rows` and `ROWS`, the rows themselves: `ROWS.cpu.floor`; `KEYS`, their keys;
/// - `for_each_limit!`, a macro by which others make something of each row. It takes the name of
///   a macro, and calls that with all fields and their types: `cpu: CpuTime, wall: WallTime, …`.
///   What a row says is in `ROWS`.
///
/// Comments above a row become docs of the field in `Limits`.
macro_rules! limits {
    ($(
        $(#[$remark:meta])*
        $key:ident: $quantity:ident {
            doc: $doc:literal,
            breach: $breach:literal,
            $($rest:tt)*
        }
    )*) => {
        /// What one function, and each of its requests, may use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Limits {$(
            #[doc = $doc]
            #[doc = ""]
            $(#[$remark])*
            #[doc = ""]
            #[doc = concat!("On breach: ", $breach, ".")]
            pub $key: $quantity,
        )*}

        impl Limits {
            /// What a function gets when nobody says otherwise.
            pub const DEFAULT: Self = Self { $($key: ROWS.$key.default,)* };

            /// What an operator may allow at most, and does allow unless `[limits.max]` says less.
            pub const MAX: Self = Self { $($key: ROWS.$key.ceiling,)* };
        }

        /// The rows of the table.
        #[derive(Clone, Copy, Debug)]
        pub struct Rows {$(
            #[doc = $doc]
            pub $key: Limit<$quantity>,
        )*}

        /// Every limit.
        pub const ROWS: Rows = Rows {$(
            $key: Limit {
                key: stringify!($key),
                doc: $doc,
                breach: $breach,
                $($rest)*
            },
        )*};

        /// The keys of all limits, in the order of the table.
        pub const KEYS: &[&str] = &[$(stringify!($key)),*];

        limits! { @for_each ($) $($key: $quantity),* }
    };
    // `$dollar` is a `$`: a macro cannot write one down for the macro that it makes.
    (@for_each ($dollar:tt) $($key:ident: $quantity:ident),*) => {
        /// Calls a macro with the fields of [`Limits`](crate::limits::Limits) and their types, in
        /// the order of the table.
        ///
        /// ```
        /// use holm_model::limits::ROWS;
        ///
        /// macro_rules! defaults {
        ///     ($($key:ident: $quantity:ty),*) => { [$(ROWS.$key.default.to_string()),*] };
        /// }
        /// let defaults = holm_model::for_each_limit!(defaults);
        /// assert_eq!(defaults[0], "50ms");
        /// ```
        #[macro_export]
        macro_rules! for_each_limit {
            ($dollar then:ident) => {
                $dollar then! { $($key: $crate::limits::$quantity),* }
            };
        }
    };
}

pub(super) use limits;
