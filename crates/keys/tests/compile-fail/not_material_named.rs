// Material in the clear has no name outside its crate.
use skerry_keys::material::Material;

fn main() {
    let _: Option<Material> = None;
}
