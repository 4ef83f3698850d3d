use super::*;
use proptest::prelude::*;

/// `{"params": {"w": [[0, .5, 1], [1.5, 2, 2.5]], "b": [-1, 3.25]}, "stats": {"w": same type, 5-D}}`, pickled by numpy;
/// scripts/goldens/numpy_pickle.py.
const FIXTURE: &[u8] = include_bytes!("../../../tests/goldens/numpy_pickle.pkl");

#[test]
fn reads_what_numpy_pickled() -> Result<(), PickleError> {
    let arrays = read_arrays(FIXTURE)?;
    assert_eq!(arrays.len(), 3, "{:?}", arrays.keys());
    assert_eq!(arrays["params/w"].to_vec2::<f32>()?, [[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]]);
    assert_eq!(arrays["params/b"].to_vec1::<f32>()?, [-1.0, 3.25]);
    assert_eq!(arrays["stats/w"].dims(), [1, 1, 1, 1, 3]);
    Ok(())
}

#[test]
fn refuses_what_is_cut_short_or_goes_on() {
    for length in 0..FIXTURE.len() {
        assert!(read_arrays(&FIXTURE[..length]).is_err(), "cut to {length} bytes");
    }
    assert!(read_arrays(&[FIXTURE, b"."].concat()).is_err());
}

/// `os.system("true")` in protocols 0 and 4, as `pickle.dumps` writes it.
#[test]
fn refuses_foreign_globals_by_name() {
    let old = b"cos\nsystem\n(S'true'\ntR.".as_slice();
    let new = b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.";
    for pickle in [old, new] {
        match read_arrays(pickle) {
            Err(PickleError::Global { name, .. }) => assert_eq!(name, "os.system"),
            other => panic!("{other:?}"),
        }
    }
}

/// The fixture with one piece replaced by another of the same length.
fn altered(from: &[u8], to: &[u8]) -> Result<HashMap<String, Tensor>, PickleError> {
    assert_eq!(from.len(), to.len());
    let place = FIXTURE.windows(from.len()).position(|bytes| bytes == from).expect("in the fixture");
    let mut bytes = FIXTURE.to_vec();
    bytes[place..][..to.len()].copy_from_slice(to);
    read_arrays(&bytes)
}

#[test]
fn refuses_other_shapes_types_and_orders() {
    // (2, 3) -> (2, 4), (2, 0)
    for shape in [b"K\x02K\x04\x86", b"K\x02K\x00\x86"] {
        let message = altered(b"K\x02K\x03\x86", shape).expect_err("another shape").to_string();
        assert!(message.contains("24 bytes"), "{message}");
    }
    let message = altered(b"\x8c\x02f4", b"\x8c\x02f8").expect_err("f64").to_string();
    assert!(message.contains("\"f8\""), "{message}");
    assert!(altered(b"\x8c\x01<", b"\x8c\x01>").is_err(), "big-endian");
    // The flag before the bytes.
    assert!(altered(b"\x89C\x18", b"\x88C\x18").is_err(), "Fortran's order");
    assert!(matches!(altered(b"\x80\x04", b"\x80\x05"), Err(PickleError::Object { expected: "protocol 4", .. })));
}

#[test]
fn what_is_too_deep_is_refused_before_it_is_walked_through() {
    let tuples = [b"\x80\x04K\x01".as_slice(), &vec![0x85; 1 << 20], b"."].concat();
    assert!(read_arrays(&tuples).is_err());
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        // No panic; an empty dictionary is the only thing that so few bytes can be by chance.
        prop_assert!(read_arrays(&bytes).map_or(true, |arrays| arrays.is_empty()));
    }

    #[test]
    fn operations_in_any_order_never_panic(
        operations in prop::collection::vec(prop::sample::select(b"\x80\x95.(N\x88\x89KMJ\x8cCB}sut\x85\x86\x87\x94hj\x93cRb\0\x01\x04".to_vec()), 0..200),
    ) {
        _ = read_arrays(&operations);
    }

    #[test]
    fn damage_never_panics(places in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut bytes = FIXTURE.to_vec();
        for (place, value) in places {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        _ = read_arrays(&bytes);
    }
}
