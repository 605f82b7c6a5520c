use super::*;
use crate::progress::Silent;

#[test]
fn every_algorithm_finds_exactly_the_differences_wherever_they_are() {
    for spread in [Spread::Uniform, Spread::Clustered, Spread::Newest] {
        for (n, d) in [(500, 0), (500, 2), (500, 100), (300, 300), (3_000, 600)] {
            let sets = Sets::new(Case { n, d, spread });
            for algorithm in algorithms() {
                let measured = measure(&*algorithm, &sets, 1).expect("it finds them");
                assert!(measured.up > 0 && measured.messages > 0, "{measured:?}");
                let least = information(n, d);
                assert!(measured.bytes() as f64 > least, "{measured:?} and {least} bytes are the least");
            }
        }
    }
}

#[test]
fn a_comparison_says_who_was_left_out_and_has_a_line_for_each_other() {
    let cases = [0, 20].map(|d| Case { n: 200, d, spread: Spread::Uniform });
    struct Refuser;
    impl Algorithm for Refuser {
        fn name(&self) -> &'static str {
            "refuser"
        }

        fn tells(&self) -> Tells {
            Tells::One
        }

        fn refuses(&self, case: &Case) -> Option<&'static str> {
            (case.d > 0).then_some("it is tired")
        }

        fn peers<'a>(&self, _: &'a Sets) -> Box<dyn Peers + 'a> {
            struct Nothing;
            impl Peers for Nothing {
                fn reconcile(&mut self) -> Result<Exchange, String> {
                    Ok(Exchange { up: 1, messages: 2, ..Exchange::default() })
                }
            }
            Box::new(Nothing)
        }
    }
    let algorithms: Vec<Box<dyn Algorithm>> = vec![Box::new(Negentropy), Box::new(Refuser)];
    let comparison = compare(&algorithms, &cases, 3, &Silent).expect("all find the differences");
    assert_eq!((comparison.measured.len(), comparison.left_out.len()), (3, 1));
    assert_eq!(comparison.csv().lines().count(), 4);
    let text = comparison.to_string();
    assert!(text.contains("without refuser: it is tired") && text.contains("(PinSketch)"), "{text}");
}
