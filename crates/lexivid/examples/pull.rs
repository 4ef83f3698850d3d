fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let t = std::time::Instant::now();
    lexivid::models::starter::pull(std::path::Path::new(&dir), &|s| println!("{:?} {s}", t.elapsed())).unwrap();
    println!("{:?}", t.elapsed());
    lexivid::models::starter::verify(std::path::Path::new(&dir)).unwrap();
}
