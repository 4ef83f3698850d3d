//! Which instruction sets there are: a process of its own for every test, because the answer holds for a whole process.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use lexivid_kernels::{ISA_VARIABLE, Isa};
use std::process::Command;

/// What `child` says with this value of the variable.
fn ask(value: Option<&str>) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["child", "--exact", "--ignored", "--nocapture"]).env_remove(ISA_VARIABLE);
    child.envs(value.map(|value| (ISA_VARIABLE, value)));
    String::from_utf8(child.output().unwrap().stdout).unwrap()
}

#[test]
#[ignore = "the others run it in a process of its own"]
fn child() {
    match Isa::from_env() {
        Ok(isa) => println!("chosen: {isa}, best: {}, has {}", Isa::best(), Isa::all().len()),
        Err(error) => println!("error: {error}"),
    }
}

#[test]
fn the_best_is_chosen_unless_the_variable_says_otherwise() {
    let (best, count) = (Isa::best(), Isa::all().len());
    assert!(ask(None).contains(&format!("chosen: {best}, best: {best}, has {count}")));
    assert!(ask(Some("")).contains(&format!("chosen: {best}, best: {best}")));
    for isa in Isa::all() {
        assert!(ask(Some(&isa.to_string())).contains(&format!("chosen: {isa}, best: {best}, has {count}")));
    }
    let refusal = ask(Some("mmx"));
    assert!(
        refusal.contains("error: instruction set \"mmx\": expected one that this processor has (portable"),
        "{refusal}"
    );
}

/// Only where it is asked for by name, and never as the best.
#[test]
fn amx_is_emulated_where_its_vectors_are() {
    let best = Isa::best().to_string();
    let answer = ask(Some("amx"));
    if Isa::all().iter().any(|isa| isa.to_string() == "avx512bf16") {
        assert!(answer.contains(&format!("chosen: amx, best: {best}")), "{answer}");
    } else {
        assert!(answer.contains("error: instruction set \"amx\""), "{answer}");
    }
}

/// Which are slow at it: by what the system says of the processor.
#[test]
fn vectors_multiply_bf16_where_they_are_fast_at_it() {
    let names: Vec<String> = Isa::all().iter().map(Isa::to_string).collect();
    let place = |name| names.iter().position(|of| of == name);
    if let (Some(bytes), Some(pairs)) = (place("avx512vnni"), place("avx512bf16")) {
        let is_intel = std::fs::read_to_string("/proc/cpuinfo").unwrap().contains("GenuineIntel");
        assert_eq!(pairs < bytes, is_intel, "{names:?}");
    }
}
