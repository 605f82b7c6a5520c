//! The first components of a tuple key.

use super::KeyCodec;

/// A tuple of the first components of the key `K`, for [`Table::scan_prefix`](super::Table::scan_prefix).
///
/// Implemented for every tuple that begins a tuple of up to six. An implementation of one's own promises that exactly the
/// keys that begin with it have an encoding that begins with its bytes.
pub trait KeyPrefix<K> {
    /// Appends the encoding of the components.
    fn encode_prefix(&self, out: &mut Vec<u8>);
}

macro_rules! prefixes {
    ($($have:ident),+; $(($($more:ident),+))+) => {
        prefixes!(@each ($($have),+) $(($($more),+))+);
    };
    (@each $have:tt $(($($more:ident),+))+) => {
        $(prefixes!(@one $have ($($more),+));)+
    };
    (@one ($($have:ident),+) ($($more:ident),+)) => {
        impl<$($have: KeyCodec,)+ $($more: KeyCodec),+> KeyPrefix<($($have,)+ $($more),+)> for ($($have,)+) {
            fn encode_prefix(&self, out: &mut Vec<u8>) {
                self.encode(out);
            }
        }
    };
}

prefixes!(A; (B)(B, C)(B, C, D)(B, C, D, E)(B, C, D, E, F));
prefixes!(A, B; (C)(C, D)(C, D, E)(C, D, E, F));
prefixes!(A, B, C; (D)(D, E)(D, E, F));
prefixes!(A, B, C, D; (E)(E, F));
prefixes!(A, B, C, D, E; (F));
