use super::*;

fn vendor(product: u8, firmware: u8) -> VendorData {
    VendorData { vendor: 0xEE, product, firmware }
}

/// The table that the contracts of benchlab-pycore 0.8.0 add up to: sizes by firmware.
#[test]
fn sizes_by_firmware() {
    let want = [
        // product, firmware, sensors, welcome, calibration, default configuration, faults, factory slot
        (0x10, 2, 216, 9, 178, 0, 0, 0),
        (0x10, 3, 216, 9, 178, 0, 0, 1),
        (0x10, 4, 216, 9, 178, 0, 0, 1),
        (0x10, 5, 216, 32, 178, 426, 0, 1),
        (0x10, 6, 216, 32, 178, 426, 0, 1),
        (0x11, 3, 368, 9, 294, 0, 0, 0),
        (0x11, 4, 368, 9, 294, 0, 0, 1),
        (0x11, 5, 384, 9, 294, 0, 0, 1),
        (0x11, 6, 384, 32, 294, 560, 128, 1),
        (0x11, 7, 384, 32, 294, 560, 128, 1),
    ];
    let got = Contract::all().iter().map(|c| {
        let bytes = |o: Opcode| if c.supports(o) { c.reply_bytes(o) } else { 0 };
        (
            c.model.product(),
            c.firmware,
            bytes(Opcode::ReadSensors),
            bytes(Opcode::Welcome),
            bytes(Opcode::ReadCalibration),
            bytes(Opcode::ReadDefaultConfig),
            bytes(Opcode::ReadFault),
            c.slot_number(CalibrationSlot::Factory),
        )
    });
    assert_eq!(got.collect::<Vec<_>>(), want);
}

#[test]
fn units_and_forms_by_firmware() {
    for c in Contract::all() {
        let original = c.model == Model::Original;
        let first = if original { 2 } else { 3 };
        assert_eq!(c.chip_unit_dc, if c.firmware == first { 10 } else { 1 }, "{c}");
        let whole = c.firmware >= if original { 6 } else { 7 };
        assert_eq!(c.calibration_write == CalibrationWrite::Whole, whole, "{c}");
        let status = c.firmware >= if original { 4 } else { 5 };
        assert_eq!(c.supports(Opcode::Status), status, "{c}");
        assert_eq!(c.supports(Opcode::FactoryCalUnlock), !original && c.firmware >= 7, "{c}");
        assert_eq!(c.draft, matches!((original, c.firmware), (true, 4) | (false, 3 | 5)));
        assert_eq!(Contract::of(c.vendor_data()), Ok(c));
    }
}

#[test]
fn unknown_firmware_is_refused_in_words() {
    let text = Contract::of(vendor(0x10, 1)).unwrap_err().to_string();
    assert!(text.contains("BENCHLAB ORIGINAL firmware 01"), "{text}");
    assert!(text.contains("02, 03, 04, 05, 06"), "{text}");
    assert!(text.contains("--allow-unknown-firmware"), "{text}");
    let text = Contract::of(vendor(0x12, 1)).unwrap_err().to_string();
    assert!(text.contains("0x12") && !text.contains("--allow"), "{text}");
}

#[test]
fn unknown_firmware_is_assumed_by_the_size_of_its_reply() {
    let assumed = |product, firmware, bytes| Contract::assumed(vendor(product, firmware), bytes);
    let launch = assumed(0x10, 1, 216).unwrap();
    assert_eq!((launch.firmware, launch.chip_unit_dc, launch.welcome_bytes), (1, 10, 9));
    let next = assumed(0x11, 8, 384).unwrap();
    assert_eq!((next.firmware, next.chip_unit_dc), (8, 1));
    assert!(!next.supports(Opcode::WriteFault) && !next.supports(Opcode::StoreConfig));
    assert_eq!(assumed(0x11, 8, 392), None);
    assert_eq!(assumed(0x10, 7, 384), None);
    assert_eq!(assumed(0x12, 1, 216), None);
}
