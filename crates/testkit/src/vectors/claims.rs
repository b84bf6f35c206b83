//! What a vector says that a report says, compared member by member.

use serde_json::{Map, Value, json};
use skerry_evidence::snp::{Generation, RawTcb, Report, SigningKey, TcbVersion};

/// Every difference between the claims that `expected` names and those of `report`.
pub(super) fn differences(expected: &Map<String, Value>, report: &Report, generation: Generation) -> Vec<String> {
    let seen = of_report(report, generation);
    let differs = |(name, wanted): (&String, &Value)| match seen.get(name) {
        None => Some(format!("claim {name} is not one that is read here")),
        Some(seen) if seen == wanted => None,
        Some(seen) => Some(format!("claim {name} is {seen}, the vector says {wanted}")),
    };
    expected.iter().filter_map(differs).collect()
}

/// The members of the vectors' form.
fn of_report(report: &Report, generation: Generation) -> Map<String, Value> {
    let policy = report.policy();
    let key_info = report.key_info();
    let claims = json!({
        "version": report.version(),
        "guest_svn": report.guest_svn(),
        "policy": format!("{:#x}", policy.0),
        "vmpl": report.vmpl(),
        "signature_algo": report.signature_algo(),
        "platform_info": report.platform_info().0,
        "key_info": key_info.0,
        "signing_key": signing_key(key_info.signing_key()),
        "author_key_en": u8::from(key_info.author_key_en()),
        "mask_chip_key": u8::from(key_info.mask_chip_key()),
        "abi": format!("{}.{}", policy.abi_major(), policy.abi_minor()),
        "smt_allowed": policy.smt_allowed(),
        "migrate_ma_allowed": policy.migrate_ma_allowed(),
        "debug_allowed": policy.debug_allowed(),
        "single_socket": policy.single_socket(),
        "family_id": hex::encode(report.family_id()),
        "image_id": hex::encode(report.image_id()),
        "report_data": hex::encode(report.report_data()),
        "measurement": hex::encode(report.measurement()),
        "host_data": hex::encode(report.host_data()),
        "id_key_digest": hex::encode(report.id_key_digest()),
        "author_key_digest": hex::encode(report.author_key_digest()),
        "report_id": hex::encode(report.report_id()),
        "report_id_ma": hex::encode(report.report_id_ma()),
        "reported_tcb": report.reported_tcb().decode(generation).ok().map(tcb),
        "reported_tcb_raw": raw(report.reported_tcb()),
        "current_tcb_raw": raw(report.current_tcb()),
        "committed_tcb_raw": raw(report.committed_tcb()),
        "launch_tcb_raw": raw(report.launch_tcb()),
        "cpuid_fam_mod_step": report.cpu_id().map(|id| hex::encode([id.family, id.model, id.stepping])),
        "chip_id": hex::encode(report.chip_id()),
        "current_version": report.current_version().to_string(),
        "committed_version": report.committed_version().to_string(),
        "launch_mit_vector": report.launch_mit_vector(),
        "current_mit_vector": report.current_mit_vector(),
    });
    claims.as_object().cloned().unwrap_or_default()
}

fn raw(tcb: RawTcb) -> String {
    hex::encode(tcb.0)
}

fn tcb(tcb: TcbVersion) -> Value {
    let mut members = json!({
        "bootloader": tcb.bootloader,
        "tee": tcb.tee,
        "snp": tcb.snp,
        "microcode": tcb.microcode,
    });
    if let (Some(members), Some(fmc)) = (members.as_object_mut(), tcb.fmc) {
        members.insert("fmc".to_owned(), fmc.into());
    }
    members
}

fn signing_key(key: SigningKey) -> String {
    match key {
        SigningKey::Vcek => "VCEK".to_owned(),
        SigningKey::Vlek => "VLEK".to_owned(),
        SigningKey::None => "NONE".to_owned(),
        SigningKey::Reserved(value) => format!("RESERVED {value}"),
    }
}
