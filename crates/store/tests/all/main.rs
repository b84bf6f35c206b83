//! Tests of the store: one suite over every engine, crashes, damage, sums, sealing, stamps.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod engines;
#[cfg(test)]
mod export;
#[cfg(test)]
mod file;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod migrate;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod power;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod seal;
#[cfg(test)]
mod stamp;
#[cfg(test)]
#[path = "../suite/mod.rs"]
mod suite;
#[cfg(test)]
mod sum;
#[cfg(test)]
mod unknown;
#[cfg(test)]
mod unverified;

/// Each of the suite is a test.
#[cfg(test)]
macro_rules! tests {
    ($($module:ident { $($name:ident)* })*) => {
        mod every_engine {
            $(mod $module {
                $(#[test]
                fn $name() {
                    crate::suite::$module::$name();
                })*
            })*
        }
    };
}
#[cfg(test)]
suite::suite!(tests);
