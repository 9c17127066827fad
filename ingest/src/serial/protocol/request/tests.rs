use proptest::prelude::*;

use super::super::Model;
use super::*;

fn parse(bytes: &[u8]) -> Result<Request<'_>, Status> {
    Request::parse(Model::Benchlab2.newest(), bytes)
}

#[test]
fn golden_requests() {
    let config = [7; 14];
    for (request, bytes) in [
        (Request::Plain(Opcode::ReadSensors), vec![0x01]),
        (Request::Action(Action::Button(0, 1, 2)), vec![0x02, 1, 0, 1, 2]),
        (Request::Action(Action::Buzzer), vec![0x02, 2, 0, 0, 0]),
        (Request::WriteName(b"a\0"), vec![0x04, b'a', 0]),
        (Request::ReadFanProfile(2, 8), vec![0x05, 2, 8]),
        (Request::WriteFanProfile(2, 8, &config), [&[0x06, 2, 8], &config[..]].concat()),
        (Request::ReadRgb(1), vec![0x07, 1]),
        (Request::WriteRgb(1, &config[..6]), [&[0x08, 1], &config[..6]].concat()),
        (Request::LoadCalibration(1), vec![0x0B, 1]),
        (Request::StoreCalibration(0), vec![0x0C, 0]),
        (Request::FactoryCalUnlock(UNLOCK_PHRASE), b"\x16benchlab".to_vec()),
        (Request::Plain(Opcode::Reset), vec![0xF0]),
    ] {
        assert_eq!(request.encode(), bytes, "{request:?}");
        assert_eq!(parse(&bytes), Ok(request));
    }
}

#[test]
fn malformed_requests_are_refused_with_their_reason() {
    for (bytes, status) in [
        (&[0x15][..], Status::UnknownOpcode),
        (&[0xFF], Status::UnknownOpcode),
        (&[0x42, 0x45], Status::UnknownOpcode),
        (&[0x02, 1, 0, 1], Status::BadLength),
        (&[0x02, 9, 0, 0, 0], Status::BadParameter),
        (&[0x04; 34], Status::BadLength),
        (&[0x05, 0], Status::BadLength),
        (&[0x05, 3, 0], Status::BadParameter),
        (&[0x05, 0, 9], Status::BadParameter),
        (&[0x06, 0, 0, 1], Status::BadLength),
        (&[0x07, 2], Status::BadParameter),
        (&[0x08, 0, 1], Status::BadLength),
        (&[0x09, 0], Status::BadLength),
        (&[0x0A, 0, 1], Status::BadLength),
        (&[0x0B, 2], Status::BadParameter),
        (&[0x0C], Status::BadLength),
        (&[0x10, 0], Status::BadLength),
        (b"\x16Benchlab", Status::BadParameter),
    ] {
        assert_eq!(parse(bytes), Err(status), "{bytes:02x?}");
    }
    assert_eq!(parse(&[0x04; 33]), Ok(Request::WriteName(&[0x04; 32])));
}

#[test]
fn calibration_in_chunks_or_whole() {
    let bytes = [1; 294];
    for contract in Contract::all() {
        let calibration = &bytes[..contract.model.calibration_bytes()];
        let requests = Request::write_calibration(contract, calibration);
        let mut written = Vec::new();
        for request in &requests {
            let transfer = request.encode();
            assert_eq!(Request::parse(contract, &transfer).as_ref(), Ok(request));
            if contract.calibration_write == CalibrationWrite::Chunks {
                assert!(transfer.len() <= PACKET_BYTES);
                assert_eq!(usize::from(transfer[1]), written.len());
            }
            if let Request::WriteCalibration(_, data) = request {
                written.extend_from_slice(data);
            }
        }
        assert_eq!(written, calibration, "{contract}");
    }
    let beyond = [&[0x0A, 177][..], &[0; 2]].concat();
    let original = Contract::of_model(Model::Original, 5).unwrap();
    assert_eq!(Request::parse(original, &beyond), Err(Status::BadParameter));
}

#[test]
fn names_have_room_for_the_byte_too_many() {
    assert_eq!(Request::name_bytes("bench").unwrap(), b"bench\0");
    assert!(Request::name_bytes(&"a".repeat(30)).is_ok());
    let text = Request::name_bytes(&"\u{e9}".repeat(16)).unwrap_err().to_string();
    assert!(text.contains("32 bytes"), "{text}");
}

proptest! {
    #[test]
    fn any_bytes_are_parsed(number in 0usize..10, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let contract = &Contract::all()[number];
        if let Ok(request) = Request::parse(contract, &bytes) {
            prop_assert!(contract.supports(request.opcode()));
            prop_assert!(bytes.starts_with(&request.encode()[..1]));
        }
    }
}
