//! Tests of the engine on etcd: the suite of all engines, several nodes on one store, servers that fail. They need etcd's
//! server (Debian: etcd-server) and start their own, on loopback ports that are free.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod engines;
#[cfg(test)]
mod export;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod quorum;
#[cfg(test)]
#[path = "../../../store/tests/suite/mod.rs"]
mod suite;
#[cfg(test)]
mod unknown;

/// Each of the suite is a test.
#[cfg(test)]
macro_rules! tests {
    ($($module:ident { $($name:ident)* })*) => {
        mod every_engine {
            $(mod $module {
                $(#[test]
                #[ignore = "needs etcd"]
                fn $name() {
                    crate::suite::$module::$name();
                })*
            })*
        }
    };
}
#[cfg(test)]
suite::suite!(tests);
