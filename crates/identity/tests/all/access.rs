use skerry_identity::{Access, Assignment, Forbidden, Permission, Permissions, Principal, Scope};

const ISSUER: &str = "https://sts.example/t/";
const VAULT: [u8; 16] = [1; 16];
const OTHER_VAULT: [u8; 16] = [2; 16];

fn assignment(subjects: &[&str], scope: Scope, permissions: &[Permission]) -> Assignment {
    let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
    let permissions = permissions.iter().copied().collect();
    Assignment { issuer: ISSUER.into(), subjects, scope, permissions }
}

fn refused(access: &Access, who: &Principal, vault: [u8; 16], permission: Permission) {
    let expected = Forbidden { principal: who.clone(), vault, permission };
    assert_eq!(access.grant(who, vault, permission).unwrap_err(), expected);
}

/// Without assignments nobody may do anything.
#[test]
fn default_is_deny() {
    let who = Principal::new(ISSUER, "alice");
    for permission in Permission::ALL {
        refused(&Access::default(), &who, VAULT, permission);
        refused(&Access::new(vec![assignment(&["alice"], Scope::Every, &[])]), &who, VAULT, permission);
        refused(&Access::new(vec![assignment(&[], Scope::Every, &Permission::ALL)]), &who, VAULT, permission);
    }
}

/// Every permission is its own: of all pairs (given, wanted) only the equal ones are granted.
#[test]
fn no_permission_implies_another() {
    let who = Principal::new(ISSUER, "alice");
    for given in Permission::ALL {
        let access = Access::new(vec![assignment(&["alice"], Scope::Vault(VAULT), &[given])]);
        for wanted in Permission::ALL {
            if given == wanted {
                let grant = access.grant(&who, VAULT, wanted).unwrap();
                assert_eq!((grant.principal(), grant.vault(), grant.permission()), (&who, VAULT, wanted));
                assert_eq!(grant.may_read(), given == Permission::Get);
            } else {
                refused(&access, &who, VAULT, wanted);
            }
        }
    }
}

/// An assignment holds in its vault only, unless it says every vault.
#[test]
fn scope_is_one_vault_or_every() {
    let who = Principal::new(ISSUER, "alice");
    let access = Access::new(vec![
        assignment(&["alice"], Scope::Vault(VAULT), &[Permission::Release]),
        assignment(&["alice"], Scope::Every, &[Permission::Get]),
    ]);
    assert!(access.grant(&who, VAULT, Permission::Release).unwrap().may_read());
    assert!(access.grant(&who, OTHER_VAULT, Permission::Get).unwrap().may_read());
    refused(&access, &who, OTHER_VAULT, Permission::Release);
}

/// Assignments add up, within one vault and over a group of subjects.
#[test]
fn assignments_add_up() {
    let access = Access::new(vec![
        assignment(&["alice", "bob"], Scope::Vault(VAULT), &[Permission::Sign]),
        assignment(&["bob"], Scope::Vault(VAULT), &[Permission::Verify]),
    ]);
    let (alice, bob) = (Principal::new(ISSUER, "alice"), Principal::new(ISSUER, "bob"));
    assert!(access.grant(&alice, VAULT, Permission::Sign).is_ok());
    assert!(access.grant(&bob, VAULT, Permission::Sign).is_ok());
    assert!(access.grant(&bob, VAULT, Permission::Verify).is_ok());
    refused(&access, &alice, VAULT, Permission::Verify);
}

/// Attack 58: equal subjects of two issuers are two principals, and names are compared byte for byte.
#[test]
fn attack_58_subject_of_another_issuer() {
    let access = Access::new(vec![assignment(&["alice"], Scope::Every, &Permission::ALL)]);
    for (issuer, subject) in [
        ("https://evil.example/t/", "alice"),
        ("https://sts.example/t", "alice"),
        ("https://STS.example/t/", "alice"),
        ("", "alice"),
        (ISSUER, "Alice"),
        (ISSUER, "alice "),
        (ISSUER, ""),
        ("https://sts.example/t/ alice", ""),
        ("https://sts.example/", "t/alice"),
    ] {
        refused(&access, &Principal::new(issuer, subject), VAULT, Permission::Get);
    }
}

/// Names are Azure's, and two of our own, in any case; nothing else is a name: `all` least.
#[test]
fn permission_names_are_azures() {
    let names: Vec<_> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
    let azure = "get list create import update delete recover purge backup restore encrypt decrypt wrapKey unwrapKey \
                 sign verify release rotate getrotationpolicy setrotationpolicy getvaultfloor setvaultfloor";
    assert_eq!(names.join(" "), azure);
    for permission in Permission::ALL {
        for name in [permission.as_str().to_owned(), permission.to_string().to_uppercase()] {
            assert_eq!(Permission::parse(&name), Some(permission));
        }
    }
    for name in ["", "all", "*", "get ", "wrap", "getRotationPolicies", "ſign"] {
        assert_eq!(Permission::parse(name), None, "{name}");
    }
    assert!(Permission::ALL.into_iter().collect::<Permissions>().iter().eq(Permission::ALL));
}

/// What logs get names the principal whole and the vault by its UUID.
#[test]
fn refusal_reads_well() {
    let mut vault = [0; 16];
    vault.iter_mut().zip(0..).for_each(|(byte, at)| *byte = at);
    let refusal = Access::default().grant(&Principal::new(ISSUER, "alice"), vault, Permission::Release).unwrap_err();
    let expected = "https://sts.example/t/ alice has no permission release in vault \
                    00010203-0405-0607-0809-0a0b0c0d0e0f";
    assert_eq!(refusal.to_string(), expected);
}
