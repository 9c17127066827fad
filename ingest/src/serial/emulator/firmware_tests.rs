use proptest::prelude::*;

use super::*;
use crate::serial::protocol::{CalibrationSlot, Model, UNLOCK_PHRASE, VendorData};

const LATER_NS: i64 = 200_000_000;

fn board(model: Model, firmware: u8) -> Firmware {
    Firmware::new(Contract::of_model(model, firmware).unwrap(), 5)
}

fn ask(board: &mut Firmware, transfer: &[u8]) -> Vec<u8> {
    match board.handle(transfer, 0) {
        Answer::Reply(bytes) => bytes,
        other => panic!("{transfer:02x?}: {other:?}"),
    }
}

fn status(board: &mut Firmware) -> u8 {
    ask(board, &[0x14])[0]
}

#[test]
fn every_command_answers_with_its_size() {
    for contract in Contract::all() {
        let mut board = Firmware::new(contract, 5);
        for code in 0..=255 {
            let transfer: &[u8] = match code {
                0x05 => &[5, 0, 0],
                0x07 => &[7, 0],
                _ => &[code],
            };
            let opcode = Opcode::of(code).filter(|o| contract.supports(*o));
            let want = opcode.map_or(0, |o| contract.reply_bytes(o));
            let got = match board.handle(transfer, 0) {
                Answer::Reply(bytes) => bytes.len(),
                Answer::Sensors => contract.sensors.bytes(),
                Answer::Nothing => 0,
            };
            assert_eq!(got, want, "{contract}: {code:#04x}");
            board.tick(LATER_NS);
        }
        let vendor: [u8; VendorData::BYTES] = ask(&mut board, &[0x0E]).try_into().unwrap();
        assert_eq!(VendorData::from_reply(vendor), Some(contract.vendor_data()));
        assert!(ask(&mut board, &[0x00]).starts_with(WELCOME));
    }
}

#[test]
fn status_tells_of_the_request_before_it_and_does_not_change_itself() {
    let mut board = board(Model::Original, 5);
    for (transfer, want) in
        [(&[0x03][..], 0), (&[0x02, 1], 1), (&[0x05, 9, 9], 2), (&[0x42], 3), (&[0x0F], 3)]
    {
        board.handle(transfer, 0);
        assert_eq!((status(&mut board), status(&mut board)), (want, want), "{transfer:02x?}");
    }
}

#[test]
fn actions_are_queued_one_at_a_time() {
    let mut board = board(Model::Benchlab2, 6);
    let beep = [0x02, 2, 0, 0, 0];
    board.handle(&beep, 0);
    assert_eq!(status(&mut board), Status::Ok as u8);
    board.handle(&beep, 0);
    assert_eq!(status(&mut board), Status::Busy as u8);
    assert_eq!(board.tick(99_999_999), None);
    board.handle(&beep, 0);
    assert_eq!(status(&mut board), Status::Busy as u8);
    assert_eq!(board.tick(100_000_000), None);
    board.handle(&beep, 0);
    assert_eq!(status(&mut board), Status::Ok as u8);
}

#[test]
fn a_name_keeps_the_tail_of_the_old_one_without_a_nul() {
    let mut board = board(Model::Original, 6);
    board.handle(b"\x04long name\0", 0);
    board.handle(b"\x04abc", 0);
    let name = ask(&mut board, &[0x03]);
    // Three bytes of the name, one of what was received before at that place, then the old name.
    assert_eq!(&name[..10], b"abcg name\0");
    assert_eq!(name.len(), 32);
}

#[test]
fn a_name_of_full_length_overruns_into_the_first_fan() {
    let mut board = board(Model::Original, 6);
    let before = ask(&mut board, &[5, 0, 0]);
    board.handle(&[&[0x0A], &[0x77; 100][..]].concat(), 0);
    board.handle(&[&[0x04], &[b'x'; 32][..]].concat(), 0);
    let after = ask(&mut board, &[5, 0, 0]);
    assert_eq!(after[0], 0x77);
    assert_eq!(after[1..], before[1..]);
}

#[test]
fn calibration_slots_have_changed_places() {
    for contract in Contract::all() {
        let mut board = Firmware::new(contract, 5);
        let factory = ask(&mut board, &[0x09]);
        assert!(factory[2..].iter().any(|b| *b != 0), "{contract}");
        board.handle(&[0x0B, contract.slot_number(CalibrationSlot::User)], 0);
        board.tick(LATER_NS);
        let user = ask(&mut board, &[0x09]);
        assert!(user[2..].iter().all(|b| *b == 0), "{contract}");
        assert_eq!(user[..2], crc16(&user[2..]).to_le_bytes());
    }
}

#[test]
fn the_configuration_survives_only_if_stored() {
    let mut board = board(Model::Original, 5);
    let fan = [&[6, 1, 2][..], &[1; 14]].concat();
    board.handle(&fan, 0);
    board.handle(&[0xF0], 0);
    assert_eq!(board.tick(LATER_NS), Some(BusEvent::Reset));
    board.power_on();
    assert_ne!(ask(&mut board, &[5, 1, 2]), [1; 14]);
    board.handle(&fan, 0);
    board.handle(&[0x12], 0);
    board.tick(LATER_NS);
    board.power_on();
    assert_eq!(ask(&mut board, &[5, 1, 2]), [1; 14]);
    assert_ne!(ask(&mut board, &[0x13])[36 + 14 * 11..][..14], [1; 14]);
}

#[test]
fn the_factorys_calibration_is_guarded() {
    let mut board = board(Model::Benchlab2, 7);
    let factory = ask(&mut board, &[0x09]);
    let write = [&[0x0A][..], &[3; 294]].concat();
    let store = [0x0C, 1];
    let store_now = |board: &mut Firmware| {
        board.handle(&write, 0);
        board.handle(&store, 0);
        board.tick(LATER_NS)
    };
    assert_eq!(store_now(&mut board), None);
    board.power_on();
    assert_eq!(ask(&mut board, &[0x09]), factory);
    board.handle(&[&[0x16], UNLOCK_PHRASE].concat(), 0);
    assert_eq!(board.tick(LATER_NS), Some(BusEvent::Reset));
    board.power_on();
    assert_eq!(store_now(&mut board), Some(BusEvent::Reset));
    board.power_on();
    assert_eq!(ask(&mut board, &[0x09])[2..], [3; 292]);
    assert_eq!(store_now(&mut board), None);
}

#[test]
fn older_firmware_takes_each_packet_for_a_request() {
    let arrived = [0x0A; 180];
    assert_eq!(board(Model::Original, 5).transfer_bytes(&arrived), 64);
    assert_eq!(board(Model::Original, 6).transfer_bytes(&arrived), 179);
    assert_eq!(board(Model::Original, 6).transfer_bytes(&arrived[..178]), 0);
    assert_eq!(board(Model::Benchlab2, 6).transfer_bytes(&arrived), 64);
    assert_eq!(board(Model::Benchlab2, 6).transfer_bytes(&[0x10; 129]), 129);
    assert_eq!(board(Model::Benchlab2, 7).transfer_bytes(&[0x01, 0x01]), 2);
}

#[test]
fn the_same_seed_is_the_same_board() {
    let of = |seed| {
        let mut board = Firmware::new(Model::Benchlab2.newest(), seed);
        (board.uid(), ask(&mut board, &[0x09]))
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    assert!(of(1).0.to_string().starts_with("424C11"));
}

proptest! {
    /// Whatever arrives, the firmware goes on, and its replies keep their sizes.
    #[test]
    fn any_transfers(
        number in 0usize..10,
        transfers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 1..20),
        opcodes in prop::collection::vec(0u8..0x18, 20),
    ) {
        let contract = &Contract::all()[number];
        let mut board = Firmware::new(contract, 1);
        for (i, (mut transfer, opcode)) in transfers.into_iter().zip(opcodes).enumerate() {
            if let Some(first) = transfer.first_mut() {
                *first = opcode;
            }
            let taken = board.transfer_bytes(&transfer);
            prop_assert!(taken <= transfer.len());
            if let Answer::Reply(reply) = board.handle(&transfer, i as i64 * 30_000_000) {
                let opcode = Opcode::of(opcode).unwrap();
                prop_assert_eq!(reply.len(), contract.reply_bytes(opcode));
            }
            board.tick(i as i64 * 30_000_000);
        }
    }
}
