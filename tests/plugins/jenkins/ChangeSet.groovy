class ChangeSet implements Whitelisted {

    List items

}
