//! What a verdict is, apart from the rule.

use syncline_crypto::{BatchVerdict, VerifyError};

#[test]
fn a_verdict_is_made_of_results_in_order() {
    let bad = Err(VerifyError::Mismatch);
    let verdict = BatchVerdict::from_results([Ok(()), bad, Ok(()), bad]);
    assert_eq!((verdict.len(), verdict.is_empty(), verdict.is_all_valid()), (4, false, false));
    assert_eq!(
        (0..6).map(|index| verdict.is_valid(index)).collect::<Vec<_>>(),
        [true, false, true, false, false, false]
    );
    assert_eq!(verdict.invalid().collect::<Vec<_>>(), [1, 3]);
    assert!(BatchVerdict::from_results([Ok(()), Ok(())]).is_all_valid());
    assert_eq!(BatchVerdict::from_results([]).into_result(), Ok(()));
}
